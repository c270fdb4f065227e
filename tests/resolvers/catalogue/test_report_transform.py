"""A pipeline reports a run: what is recorded, what is published, what is refused."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock

import pytest

from documents.mongo.database import Database
from documents.mongo.transaction import Session
from resolvers.access.viewer import ANONYMOUS, Role
from resolvers.catalogue import report_transform
from resolvers.catalogue.report_transform import ingest_transform
from resolvers.writes.idempotency import run_idempotent
from tests.support.catalogue import ADMIN, NOTHING, STRANGER, WORKER, Answer, ask, counts, csvw, do, ingest

pytestmark = pytest.mark.usefixtures("database")

CREATE_DATASET = """mutation ($input: CreateDatasetInput!) { createDataset(input: $input) {
  dataset { id } userErrors { message } } }"""


async def versions(identifier: str = "births") -> list[Answer]:
    found = await ask(
        """query ($id: String!) { datasets(where: {identifier: {eq: $id}}) { nodes {
          versions(first: 100) { nodes { label ordinal isLatest } } } } }""",
        id=identifier,
    )
    nodes: list[Answer] = found["datasets"]["nodes"][0]["versions"]["nodes"]
    return nodes


async def test_a_report_makes_the_whole_chain(database: Database) -> None:
    payload = await ingest(
        resourceTitle="Births",
        info={"title": "Births", "families": ["Health"]},
        startedAt="2026-03-01T11:00:00Z",
        endedAt="2026-03-01T12:00:00.5Z",
        validated=True,
        logs="https://logs.example/1",
        notebook="gs://notebooks/1.html",
    )

    assert payload["userErrors"] == []
    assert [one["label"] for one in payload["published"]] == ["v1"]
    found = await ask(
        """query ($id: ID!) { transform(id: $id) {
          status attempt worker startedAt endedAt code { repository path commit } error { code }
          cause { kind files message } details { completed validated logs notebook }
          resource { title landingPage info organisation { url name }
            codeRepo { provider url source { path commit } monitorDirs { url } } }
          distributions { nodes { sizeBytes columns { name title datatype propertyUrl required virtual }
            dataset { identifier latestVersion { label } } version { label } } } } }""",
        WORKER,
        id=payload["transform"]["id"],
    )
    commit, other = "a1" * 20, "b2" * 20
    assert found["transform"] == {
        "status": "SUCCEEDED",
        "attempt": 1,
        "worker": None,
        "startedAt": "2026-03-01T11:00:00.000Z",
        "endedAt": "2026-03-01T12:00:00.500Z",
        "code": [
            {"repository": "https://code.example/family", "path": "datasets/births/main.py", "commit": commit},
            {"repository": "https://code.example/family", "path": "datasets/births/info.json", "commit": other},
        ],
        "error": None,
        "cause": {"kind": "INGESTED", "files": [], "message": None},
        "details": {
            "completed": True,
            "validated": True,
            "logs": "https://logs.example/1",
            "notebook": "gs://notebooks/1.html",
        },
        "resource": {
            "title": "Births",
            "landingPage": "https://statistics.example/births",
            "info": {"title": "Births", "families": ["Health"]},
            "organisation": {"url": "https://statistics.example/office", "name": "Office of Examples"},
            "codeRepo": {
                "provider": "GITHUB",
                "url": "https://code.example/family",
                "source": [
                    {"path": "datasets/births/main.py", "commit": commit},
                    {"path": "datasets/births/info.json", "commit": other},
                ],
                "monitorDirs": [],
            },
        },
        "distributions": {
            "nodes": [
                {
                    "sizeBytes": str(len(csvw("births"))),
                    "columns": [
                        {
                            "name": "period",
                            "title": "Period",
                            "datatype": "gYear",
                            "propertyUrl": None,
                            "required": True,
                            "virtual": False,
                        },
                        {
                            "name": "value",
                            "title": None,
                            "datatype": None,
                            "propertyUrl": None,
                            "required": False,
                            "virtual": False,
                        },
                    ],
                    "dataset": {"identifier": "births", "latestVersion": {"label": "v1"}},
                    "version": {"label": "v1"},
                }
            ]
        },
    }
    assert await counts(database) == dict.fromkeys(NOTHING, 1)


async def test_fifty_calls_with_one_key_make_one_transform_and_get_one_answer(database: Database) -> None:
    answers = await asyncio.gather(*(ingest(idempotencyKey="fifty") for _ in range(50)))

    assert answers[0]["userErrors"] == []
    assert answers == [answers[0]] * 50
    assert await counts(database) == dict.fromkeys(NOTHING, 1)


async def test_fifty_different_reports_on_one_dataset_make_versions_1_to_50(database: Database) -> None:
    answers = await asyncio.gather(*(ingest(distributions=[{"csvwText": csvw("births", n=n)}]) for n in range(50)))

    assert [answer["userErrors"] for answer in answers] == [[]] * 50
    published = [version for answer in answers for version in answer["published"]]
    assert sorted(version["ordinal"] for version in published) == list(range(1, 51))
    assert await versions() == [
        {"label": f"v{ordinal}", "ordinal": ordinal, "isLatest": ordinal == 50} for ordinal in range(1, 51)
    ]
    assert (await counts(database))["transforms"] == 50


async def test_reports_of_several_processes_are_kept_apart_by_the_database(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Locks are those of one process.
    monkeypatch.setattr(report_transform, "require_lock", AsyncMock())

    async def from_a_process_of_its_own(n: int) -> Any:
        async def work(session: Session) -> Any:
            return await ingest_transform(
                session,
                WORKER,
                organisation_url="https://statistics.example/office",
                landing_page="https://statistics.example/births",
                code_repo={"url": "https://code.example/family"},
                distributions=[{"csvw_text": csvw("births", n=n)}],
            )

        return await run_idempotent(WORKER, "ingestTransform", {"n": n}, None, work)

    outcomes = await asyncio.gather(*(from_a_process_of_its_own(n) for n in range(10)))

    assert sorted(outcome["published"][0]["ordinal"] for outcome in outcomes) == list(range(1, 11))
    assert [one["label"] for one in await versions()] == [f"v{n}" for n in range(1, 11)]
    assert await counts(database) == {
        "organisations": 1,
        "resources": 1,
        "datasets": 1,
        "dataset_versions": 10,
        "distributions": 10,
        "transforms": 10,
    }


async def test_an_unchanged_document_publishes_nothing_and_the_run_is_recorded(database: Database) -> None:
    await ingest(distributions=[{"csvwText": csvw("births")}, {"csvwText": csvw("deaths")}])

    payload = await ingest(distributions=[{"csvwText": csvw("births")}, {"csvwText": csvw("deaths", n=2)}])

    assert [one["label"] for one in payload["published"]] == ["v2"]
    assert [one["label"] for one in await versions("births")] == ["v1"]
    assert [one["label"] for one in await versions("deaths")] == ["v1", "v2"]
    assert (await counts(database))["transforms"] == 2
    unchanged = await database.datasets.find_one({"identifier": "births"})
    assert unchanged is not None
    assert unchanged["revision"] == 1


async def test_a_document_with_other_bytes_is_a_change_even_where_its_json_is_equal() -> None:
    await ingest(distributions=[{"csvwText": csvw("births")}])

    payload = await ingest(distributions=[{"csvwText": csvw("births") + "\n"}])

    assert [one["label"] for one in payload["published"]] == ["v2"]


async def test_a_document_that_goes_back_to_an_earlier_state_is_published_again() -> None:
    for n in (1, 2, 1):
        await ingest(distributions=[{"csvwText": csvw("births", n=n)}])

    assert [one["label"] for one in await versions()] == ["v1", "v2", "v3"]


async def test_v10_follows_v9() -> None:
    for n in range(11):
        await ingest(distributions=[{"csvwText": csvw("births", n=n)}])

    found = await versions()

    assert [one["label"] for one in found[8:]] == ["v9", "v10", "v11"]
    assert [one["isLatest"] for one in found] == [False] * 10 + [True]


async def test_a_dataset_is_what_its_latest_document_says_and_what_the_report_calls_it() -> None:
    asked = """{ datasets { nodes { title description publisher issued modified keywords revision } } }"""
    told = {
        "dc:title": "Births in 2025",
        "dc:description": "By month.",
        "dc:publisher": "The Office",
        "dc:issued": "2026-01-31",
        "dc:modified": "2026-02-01T10:00:00Z",
        "dcat:keyword": ["births", "life"],
    }
    await ingest(distributions=[{"csvwText": csvw("births", **told)}])
    first = (await ask(asked))["datasets"]["nodes"]
    await ingest(distributions=[{"csvwText": csvw("births", **{"dc:title": "Births in 2026"}), "title": "Ours"}])
    second = (await ask(asked))["datasets"]["nodes"]

    assert first == [
        {
            "title": "Births in 2025",
            "description": "By month.",
            "publisher": "The Office",
            "issued": "2026-01-31T00:00:00.000Z",
            "modified": "2026-02-01T10:00:00.000Z",
            "keywords": ["births", "life"],
            "revision": 1,
        }
    ]
    nothing = dict.fromkeys(("description", "publisher", "issued", "modified"))
    assert second == [nothing | {"title": "Ours", "keywords": [], "revision": 2}]


async def test_no_fact_outlives_the_document_it_was_in() -> None:
    spoken = {"dcat:keyword": ["PII"], "dc:title": "Births", "dc:publisher": "The Office", "dc:issued": "2026-01-31"}
    for facts in (spoken, spoken | {"note": 2}, {"dcat:keyword": [], "note": 3}):
        await ingest(distributions=[{"csvwText": csvw("births", **facts)}])

    found = await ask(
        """{ datasets { nodes { title publisher issued keywords versions { totalCount } } }
          tagged: datasets(where: {keyword: {eq: "PII"}}) { totalCount }
          published: datasets(where: {publisher: {eq: "The Office"}}) { totalCount } }"""
    )

    silent: Answer = {"title": None, "publisher": None, "issued": None, "keywords": [], "versions": {"totalCount": 3}}
    assert found == {
        "datasets": {"nodes": [silent]},
        "tagged": {"totalCount": 0},
        "published": {"totalCount": 0},
    }


async def test_what_a_client_said_of_a_dataset_stands_where_its_newest_document_is_silent() -> None:
    resource = (await ingest(distributions=[]))["resource"]["id"]
    await do(CREATE_DATASET, resourceId=resource, identifier="births", title="Given", description="By hand.")
    seen = []
    for facts in ({}, {"dc:title": "Told", "dc:description": "By the document."}, {"note": 3}):
        await ingest(distributions=[{"csvwText": csvw("births", **facts)}])
        seen += (await ask("{ datasets { nodes { title description } } }"))["datasets"]["nodes"]

    given = {"title": "Given", "description": "By hand."}
    assert seen == [given, {"title": "Told", "description": "By the document."}, given]


async def test_a_dataset_that_an_earlier_release_merged_is_put_right_by_its_next_report(database: Database) -> None:
    await ingest(distributions=[{"csvwText": csvw("births", **{"dc:issued": "2026-01-31"})}])
    stale = {"keywords": ["PII"], "modified": datetime(2026, 1, 1, tzinfo=UTC), "description": "Old."}
    unset = {"givenTitle": "", "givenDescription": ""}
    await database.datasets.update_one({}, {"$set": stale, "$unset": unset})

    for _ in range(2):
        await ingest(distributions=[{"csvwText": csvw("births", **{"dc:issued": "2026-01-31"})}])

    found = await ask(
        "{ datasets { nodes { keywords modified description issued revision latestVersion { label } } } }"
    )
    assert found["datasets"]["nodes"] == [
        {
            "keywords": [],
            "modified": None,
            "description": None,
            "issued": "2026-01-31T00:00:00.000Z",
            "revision": 2,
            "latestVersion": {"label": "v1"},
        }
    ]


async def test_a_new_title_for_an_unchanged_document_is_taken_without_a_new_version() -> None:
    await ingest(distributions=[{"csvwText": csvw("births"), "title": "Birth"}])

    payload = await ingest(distributions=[{"csvwText": csvw("births"), "title": "Births"}])

    assert payload["published"] == []
    found = await ask("{ datasets { nodes { title revision versions { totalCount } } } }")
    assert found["datasets"]["nodes"] == [{"title": "Births", "revision": 2, "versions": {"totalCount": 1}}]


async def test_a_run_that_began_by_a_clock_that_is_ahead_is_published() -> None:
    ahead = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=90)

    payload = await ingest(startedAt=ahead.isoformat())

    assert payload["userErrors"] == []
    assert [one["label"] for one in payload["published"]] == ["v1"]
    found = await ask("{ transforms { nodes { startedAt endedAt } } }")
    shown = ahead.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert found["transforms"]["nodes"] == [{"startedAt": shown, "endedAt": shown}]


async def test_a_run_that_is_to_begin_later_is_refused(database: Database) -> None:
    later = datetime.now(UTC) + timedelta(minutes=6)

    payload = await ingest(startedAt=later.isoformat())

    (error,) = payload["userErrors"]
    assert (error["code"], error["path"]) == ("VALIDATION", ["input", "startedAt"])
    assert "clocks may differ by 5 minutes" in error["message"]
    assert await counts(database) == NOTHING


async def test_one_call_publishes_two_hundred_datasets_in_their_order(database: Database) -> None:
    payload = await ingest(distributions=[{"csvwText": csvw(f"d{n}")} for n in range(200)])

    assert payload["userErrors"] == []
    found = await ask("{ datasets(first: 100) { totalCount nodes { identifier } } }")
    assert found["datasets"]["totalCount"] == 200
    assert [node["identifier"] for node in found["datasets"]["nodes"]] == [f"d{n}" for n in range(100)]
    assert [one["ordinal"] for one in payload["published"]] == [1] * 200
    assert (await counts(database))["distributions"] == 200


async def test_a_report_names_a_dataset_otherwise_than_its_document() -> None:
    await ingest(distributions=[{"dataset": "a.dotted $name", "csvwText": csvw("births")}])

    found = await ask("""{ datasets { nodes { identifier version(label: "v1") { ordinal } missing: version(label: "v2")
      { ordinal } } } }""")

    assert found["datasets"]["nodes"] == [{"identifier": "a.dotted $name", "version": {"ordinal": 1}, "missing": None}]


async def test_a_run_that_made_nothing_is_recorded(database: Database) -> None:
    payload = await ingest(distributions=[])

    assert payload["userErrors"] == []
    assert await counts(database) == NOTHING | {"organisations": 1, "resources": 1, "transforms": 1}


async def test_a_name_fills_in_a_missing_one_and_overwrites_none() -> None:
    await ingest(organisationName=None)
    await ingest(organisationName="First")
    await ingest(organisationName="Second")

    assert (await ask("{ organisations { nodes { name revision } } }"))["organisations"]["nodes"] == [
        {"name": "First", "revision": 2}
    ]


@pytest.mark.parametrize(
    "url", ["http://logs.example/x", "https://logs.example/x", "HTTPS://logs.example/x"], ids=["http", "https", "HTTPS"]
)
async def test_web_addresses_of_logs_are_for_everybody(url: str) -> None:
    await ingest(logs=url)

    found = await ask("{ transforms { nodes { details { logs notebook } } } }", ANONYMOUS)

    assert found["transforms"]["nodes"] == [{"details": {"logs": url, "notebook": None}}]


@pytest.mark.parametrize("url", ["gs://logs/x", "s3://logs/x"])
async def test_objects_in_buckets_are_shown_to_workers_and_administrators_alone(url: str) -> None:
    await ingest(logs=url, notebook=url)

    asked = "{ transforms { nodes { details { logs notebook } } } }"
    shown = {
        viewer.role: (await ask(asked, viewer))["transforms"]["nodes"][0]["details"]
        for viewer in (ANONYMOUS, STRANGER, WORKER, ADMIN)
    }

    hidden, open_ = {"logs": None, "notebook": None}, {"logs": url, "notebook": url}
    assert shown == {Role.ANONYMOUS: hidden, Role.USER: hidden, Role.WORKER: open_, Role.ADMIN: open_}
