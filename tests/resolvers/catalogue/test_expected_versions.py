"""A pipeline says which version it has seen: one that has fallen behind publishes nothing."""

import asyncio
from typing import Any

import pytest

from documents.mongo.database import Database
from tests.support.catalogue import NOTHING, WORKER, Answer, counts, csvw, do, ingest, report

pytestmark = pytest.mark.usefixtures("database")

INGEST = """mutation ($input: IngestTransformInput!) { ingestTransform(input: $input) {
  published { id label }
  userErrors { __typename code message path ... on VersionConflict { expectedLatestVersionId
    latestVersion { id label distribution { sha256 } dataset { identifier } } } } } }"""


def births(year: int, **expected: Any) -> Answer:
    return {"csvwText": csvw("births", notes=year)} | expected


async def published(*distributions: Answer, **changes: Any) -> Answer:
    """The payload of a report on these documents."""
    return await do(INGEST, WORKER, **report(distributions=list(distributions), **changes))


async def test_what_follows_the_version_that_was_seen_is_published() -> None:
    first = await published(births(2020))
    seen = first["published"][0]["id"]

    second = await published(births(2021, expectedLatestVersionId=seen))

    assert second["userErrors"] == []
    assert [one["label"] for one in second["published"]] == ["v2"]


async def test_a_stale_run_is_refused_with_what_is_there_and_records_nothing(database: Database) -> None:
    seen = (await published(births(2020)))["published"][0]["id"]
    latest = (await published(births(2022)))["published"][0]["id"]
    before = await counts(database)

    stale = await published(births(2021, expectedLatestVersionId=seen), {"csvwText": csvw("deaths")})

    (error,) = stale["userErrors"]
    shown = error.pop("latestVersion")
    assert error == {
        "__typename": "VersionConflict",
        "code": "REVISION_CONFLICT",
        "message": f"The newest version of births is v2 ({latest}), not {seen}.",
        "path": ["input", "distributions", "0", "expectedLatestVersionId"],
        "expectedLatestVersionId": seen,
    }
    assert (shown["id"], shown["label"], shown["dataset"]["identifier"]) == (latest, "v2", "births")
    assert stale["published"] == []
    assert await counts(database) == before


async def test_null_expects_that_nothing_is_there_yet(database: Database) -> None:
    first = await published(births(2020, expectedLatestVersionId=None))
    before = await counts(database)

    second = await published(births(2021, expectedLatestVersionId=None))

    assert first["userErrors"] == []
    (error,) = second["userErrors"]
    assert error["message"].endswith(f"v1 ({first['published'][0]['id']}), not null, which means no version.")
    assert error["latestVersion"]["label"] == "v1"
    assert await counts(database) == before


async def test_a_version_that_never_was_is_refused_where_no_dataset_is(database: Database) -> None:
    payload = await published(births(2020, expectedLatestVersionId="version_00"))

    (error,) = payload["userErrors"]
    assert error["message"] == "births has no version yet, so version_00 cannot be its newest one."
    assert error["latestVersion"] is None
    assert await counts(database) == NOTHING


async def test_every_dataset_that_has_moved_on_is_named() -> None:
    first = await published(births(2020), {"csvwText": csvw("deaths")})
    births_seen, deaths_seen = (one["id"] for one in first["published"])

    payload = await published(
        births(2021, expectedLatestVersionId=deaths_seen),
        {"csvwText": csvw("deaths", notes=1), "expectedLatestVersionId": births_seen},
    )

    assert [error["path"][2] for error in payload["userErrors"]] == ["0", "1"]


async def test_an_unchanged_document_is_compared_as_well() -> None:
    seen = (await published(births(2020)))["published"][0]["id"]
    await published(births(2021))

    stale = await published(births(2021, expectedLatestVersionId=seen))

    assert [error["code"] for error in stale["userErrors"]] == ["REVISION_CONFLICT"]


async def test_of_several_that_saw_one_version_one_publishes() -> None:
    seen = (await published(births(2000)))["published"][0]["id"]

    payloads = await asyncio.gather(
        *(published(births(year, expectedLatestVersionId=seen)) for year in range(2001, 2009))
    )

    assert sum(len(one["published"]) for one in payloads) == 1
    assert [len(one["userErrors"]) for one in payloads].count(1) == 7


async def test_a_repeat_under_its_key_is_not_stale() -> None:
    seen = (await published(births(2020)))["published"][0]["id"]
    told = births(2021, expectedLatestVersionId=seen)

    first = await published(told, idempotencyKey="once")
    again = await published(told, idempotencyKey="once")

    assert again == first
    assert [one["label"] for one in first["published"]] == ["v2"]


async def test_reports_that_expect_nothing_go_on_as_before() -> None:
    await ingest()

    payload = await ingest(distributions=[{"csvwText": csvw("births", notes=1)}])

    assert [one["label"] for one in payload["published"]] == ["v2"]
