"""Reports that are refused: why, where, and that nothing of them is kept."""

import pytest

from documents.mongo.database import Database
from resolvers.access.viewer import ANONYMOUS, Viewer
from tests.support.catalogue import ADMIN, NOTHING, REQUEST, STRANGER, Answer, code_repo, counts, csvw, do, ingest

pytestmark = pytest.mark.usefixtures("database")


@pytest.mark.parametrize("viewer", [ANONYMOUS, STRANGER], ids=["anonymous", "user"])
async def test_only_workers_and_administrators_report(database: Database, viewer: Viewer) -> None:
    refused = await ingest(viewer)
    asked = await do(REQUEST, viewer, resourceId="resource_1")

    assert [(one["code"], one["path"]) for one in refused["userErrors"]] == [("FORBIDDEN", ["input"])]
    assert [(one["code"], one["path"]) for one in asked["userErrors"]] == [("FORBIDDEN", ["input"])]
    assert await counts(database) == NOTHING
    assert (await ingest(ADMIN))["userErrors"] == []


async def test_all_that_is_wrong_with_the_documents_is_said_at_once_and_nothing_is_written(database: Database) -> None:
    payload = await ingest(
        distributions=[
            {"csvwText": csvw("births")},
            {"csvwText": "{"},
            {"csvw": [1]},
            {},
            {"csvw": {"url": "x"}, "csvwText": csvw("x")},
            {"csvwText": '{"tableSchema": {"columns": []}}'},
            {"csvwText": csvw("deaths"), "title": " "},
        ]
    )

    assert [(one["__typename"], one["path"]) for one in payload["userErrors"]] == [
        ("InvalidInput", ["input", "distributions", "1", "csvwText"]),
        ("InvalidInput", ["input", "distributions", "2", "csvw"]),
        ("InvalidInput", ["input", "distributions", "3", "csvw"]),
        ("InvalidInput", ["input", "distributions", "4", "csvwText"]),
        ("InvalidInput", ["input", "distributions", "5", "dataset"]),
        ("InvalidInput", ["input", "distributions", "6", "title"]),
    ]
    assert payload["resource"] is payload["transform"] is None
    assert payload["published"] == []
    assert await counts(database) == NOTHING


async def test_two_documents_for_one_dataset_are_refused(database: Database) -> None:
    payload = await ingest(
        distributions=[{"csvwText": csvw("births")}, {"dataset": "births", "csvwText": csvw("deaths")}]
    )

    assert [(one["message"], one["path"]) for one in payload["userErrors"]] == [
        ("Distributions 0 and 1 are both for the dataset births.", ["input", "distributions", "1", "dataset"])
    ]
    assert await counts(database) == NOTHING


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"organisationUrl": "the office"}, ["organisationUrl"]),
        ({"organisationName": "\n"}, ["organisationName"]),
        ({"landingPage": "javascript:alert(1)"}, ["landingPage"]),
        ({"logs": "here"}, ["logs"]),
        ({"startedAt": "2026-03-02T00:00:00Z", "endedAt": "2026-03-01T00:00:00Z"}, ["startedAt"]),
        ({"codeRepo": code_repo(commit="main")}, ["codeRepo", "source", "0", "commit"]),
        ({"codeRepo": code_repo(monitorDirs=["gs://a/b", "c"])}, ["codeRepo", "monitorDirs", "1"]),
        ({"codeRepo": code_repo(url="code")}, ["codeRepo", "url"]),
        ({"info": {"title": "\ud800"}}, ["info"]),
        ({"transformId": "transform_unknown"}, ["transformId"]),
        ({"distributions": [{"csvwText": csvw(f"t{n}")} for n in range(201)]}, ["distributions"]),
        ({"distributions": [{"csvwText": csvw("t", notes="é" * 500_001)}]}, ["distributions", "0", "csvwText"]),
    ],
)
async def test_what_cannot_be_taken_is_refused_with_its_path(
    database: Database, changes: Answer, path: list[str]
) -> None:
    payload = await ingest(**changes)

    assert [one["path"] for one in payload["userErrors"]] == [["input", *path]]
    assert await counts(database) == NOTHING


async def test_the_same_key_with_another_report_is_refused(database: Database) -> None:
    await ingest(idempotencyKey="once")

    payload = await ingest(idempotencyKey="once", resourceTitle="Another")

    assert [one["code"] for one in payload["userErrors"]] == ["IDEMPOTENCY_MISMATCH"]
    assert payload["transform"] is None
    assert await counts(database) == dict.fromkeys(NOTHING, 1)
