"""The sources that an info.json names are found where real ones have them, and landing pages are none."""

import json
import time
from collections import Counter
from typing import Any

import pytest

from resolvers.formats.info_json import read_info
from resolvers.formats.info_json_sources import sources_of_info
from resolvers.formats.sources import MAX_ADDRESS_LENGTH, MAX_SOURCES, Sources
from resolvers.user_errors import InvalidInput
from tests.support.needs import need_shared_data
from tests.support.patience import cpu

FILES = "https://files.example"


def test_sources_come_in_the_order_of_what_is_said_of_them_each_once() -> None:
    stages = [
        {"identifier": f"Catch||Sheet||{FILES}/late.ods", "source": [{f"{FILES}/catch.xls": "Sheet 1"}]},
        {"source": [{f"{FILES}/catch.xls": "Sheet 2"}, {"url": f"{FILES}/get?file=sea.xlsx", "sheet": "Q1"}]},
        {"source": f"{FILES}/plain"},
    ]

    sources = sources_of_info(
        {
            "datasetNotes": [f"From [the office]({FILES}/notes.CSV), {FILES}/a.zip,{FILES}/b.zip. See {FILES}/page."],
            "transform": {"transformStage": stages},
            "dataURL": f"{FILES}/download",
        }
    )

    paths = ["download", "catch.xls", "get?file=sea.xlsx", "plain", "notes.CSV", "a.zip", "b.zip", "late.ods"]
    assert sources == Sources([f"{FILES}/{path}" for path in paths])


def test_landing_pages_are_no_sources_even_if_they_are_files() -> None:
    pages = {name: f"{FILES}/{name}.xls" for name in ("landingPage", "landing_page", "Landing Page", "metaURL")}

    assert sources_of_info({"title": "Catch", **pages}) == Sources()


def test_secrets_are_no_part_of_a_source() -> None:
    sources = sources_of_info(
        {
            "dataURL": ["https://ada:s3cr3t@files.example/a?token=s3cr3t&id=1", "ftp://ada:s3cr3t@files.example/b"],
            "note": "https://files.example/c.csv?X-Goog-Signature=s3cr3t",
        }
    )

    assert sources.urls == [f"{FILES}/a?id=1", f"{FILES}/c.csv"]
    assert "s3cr3t" not in repr(sources)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("XLS", "'XLS'"),
        ("//files.example/a.csv", "'//files.example/a.csv'"),
        ("gs://bucket/a.csv", "'gs://bucket/a.csv'"),
        ("https://[files.example/a", "'https://[files.example/a'"),
        (f"{FILES}/{'a' * MAX_ADDRESS_LENGTH}", f"'{FILES}/{'a' * 78}…'"),
    ],
)
def test_what_is_no_web_address_is_left_out_with_its_reason(text: str, shown: str) -> None:
    sources = sources_of_info({"dataURL": text})

    reason = f"dataURL {shown} is no web address of at most 2,000 characters; left out."
    assert sources == Sources([], [reason])


@pytest.mark.parametrize(
    "transform", [None, [], "x", {"transformStage": "x"}, {"transformStage": [1, {"source": [2]}]}]
)
def test_stages_of_other_shapes_name_nothing(transform: Any) -> None:
    assert sources_of_info({"transform": transform, "dataURL": [None, 3, {"a": 1}, " "]}) == Sources()


@pytest.mark.parametrize(
    ("info", "counts"),
    [
        ({"dataURL": [f"{FILES}/{number}" for number in range(2 * MAX_SOURCES)]}, (MAX_SOURCES, 0)),
        ({"dataURL": [f"table {number}" for number in range(2 * MAX_SOURCES)]}, (0, MAX_SOURCES)),
        ({"notes": [f"{FILES}/{number}.csv" for number in range(30_000)]}, (MAX_SOURCES, 0)),
        ({"notes": ["http://" * 700] * 200}, (0, 0)),
        ({"notes": [f"https://{',;' * 2_400}"] * 200}, (0, 0)),
    ],
)
def test_however_much_it_mentions_there_are_few_and_soon(info: dict[str, Any], counts: tuple[int, int]) -> None:
    started = time.process_time()

    sources = sources_of_info(info)

    assert (len(sources.urls), len(sources.left_out)) == counts
    assert time.process_time() - started < cpu(1)


def test_real_pipelines_name_their_sources() -> None:
    found: Counter[str] = Counter()
    for path in sorted((need_shared_data() / "info_json").rglob("*info.json")):
        text = path.read_text()
        try:
            sources = read_info(text).sources
        except InvalidInput:
            continue
        info = json.loads(text)
        stages = (info.get("transform") or {}).get("transformStage") or []
        found["dataURL"] += bool(info.get("dataURL"))
        found["stages"] += bool(stages)
        found["any"] += bool(sources.urls)
        found["addresses"] += len(sources.urls)
        assert sources.left_out == []
        assert {url for stage in stages for entry in stage["source"] for url in entry} <= {*sources.urls}

    assert found == {"dataURL": 29, "stages": 11, "any": 42, "addresses": 75}
