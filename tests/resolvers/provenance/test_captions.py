"""Captions say what an object is in one short line, from fields of its own row."""

from datetime import datetime
from typing import Any

import pytest

import documents
from documents.mongo.field_paths import stored_path
from resolvers.access.viewer import ANONYMOUS
from resolvers.provenance.captions import caption_paths, captions

CODE = {"repository": "https://code.example/births/", "commit": "0a" * 20}
NOON = datetime(2024, 3, 1, 12, 5)

CASES: list[tuple[dict[str, Any], str]] = [
    ({"_id": "distribution_5f", "datasetName": "Maps of the city", "versionLabel": "v2"}, "Maps of the city v2"),
    ({"_id": "distribution_5f", "datasetName": "two\nlines"}, "two lines"),
    ({"_id": "distribution_5f"}, "Distribution 5f"),
    ({"_id": "output_5f", "file_name": "maps/counts.csv"}, "maps/counts.csv"),
    ({"_id": "result_5f", "title": "Maps"}, "Maps"),
    ({"_id": "result_5f", "title": " "}, "Result 5f"),
    ({"_id": "archive_5f", "identifier": "150183650.0"}, "Report 150183650.0"),
    ({"_id": "generation_5f", "jobs": 4759, "archives": 2}, "4,759 jobs from 2 reports"),
    ({"_id": "generation_5f", "jobs": 1, "archives": 1}, "1 job from 1 report"),
    ({"_id": "generation_5f"}, "0 jobs from 0 reports"),
    ({"_id": "external_5f", "url": "https://a.example/b/c.csv", "version": None}, "a.example/b/c.csv"),
    (
        {"_id": "external_5f", "url": "gs://bucket/c.csv", "version": "17", "sha256": "0a" * 32},
        "gs://bucket/c.csv @ 17",
    ),
    ({"_id": "external_5f", "url": "http://a.example/", "sha256": "0a" * 32}, "http://a.example/ @ sha256:0a0a0a0a"),
    ({"_id": "step_5f", "key": "draw"}, "draw"),
    ({"_id": "transform_5f", "code": [CODE | {"path": "births/main.py"}, CODE]}, "births/main.py @ 0a0a0a0a"),
    ({"_id": "transform_5f", "code": [CODE], "cause": {"kind": "INGESTED"}}, "births @ 0a0a0a0a"),
    ({"_id": "transform_5f", "code": [], "cause": {"kind": "FILES_CHANGED"}}, "Transform, files changed"),
    ({"_id": "transform_5f", "cause": None}, "Transform 5f"),
    ({"_id": "ingestion_5f", "kind": "REPROCESS", "created_at": NOON}, "Reprocess of 2024-03-01 12:05"),
    ({"_id": "ingestion_5f", "created_at": NOON}, "Ingest of 2024-03-01 12:05"),
]


@pytest.mark.parametrize(("row", "expected"), CASES)
def test_a_caption_says_what_it_is_from_the_fields_that_are_read_for_it(row: dict[str, Any], expected: str) -> None:
    document = documents.by_kind(row["_id"])

    shown = captions([row], ANONYMOUS)

    assert shown == [expected]
    assert row.keys() <= {"_id", *(stored_path(document, path)[0] for path in caption_paths(document))}


def test_a_long_url_is_cut_in_the_middle() -> None:
    url = f"https://files.example/{'a' * 500}/data.csv"
    row = {"_id": "external_5f", "url": url, "version": "17"}
    of_host = {"_id": "external_5f", "url": f"https://{'h' * 400}/{'p' * 400}", "version": "v" * 300}

    assert captions([row], ANONYMOUS) == [f"files.example/…{'a' * 86}/data.csv @ 17"]
    assert captions([of_host], ANONYMOUS) == [f"{'h' * 72}…/…{'p' * 71} @ {'v' * 49}…"]


def test_a_long_caption_is_cut() -> None:
    rows = [{"_id": "step_5f", "key": "k" * length} for length in (200, 201)]

    assert captions(rows, ANONYMOUS) == ["k" * 200, f"{'k' * 199}…"]
