"""What workers say at the end of an activity that it turned out to have used."""

from typing import Any

import pytest

import documents
from documents.activities.activity import ActivityStatus
from documents.provenance.external_data import external_data_id
from documents.provenance.used import Used
from resolvers.provenance import used_at_end as module
from tests.support import builders as new
from tests.support.builders import everything_kept, keep
from tests.support.catalogue import WORKER, ingest
from tests.support.clock import Clock
from tests.support.runs import a_dag, claim, complete, do, fail, refusals

pytestmark = pytest.mark.usefixtures("database")

URL = "https://files.example/a.csv"
HASH = "0a" * 32
EXACT = {"url": f"{URL}?year=7", "version": "3", "sha256": HASH, "sizeBytes": "7", "mediaType": "text/csv"}
ASSUMED = Used(ref=external_data_id(URL, None, None), assumed=True, declared=True)
READ = Used(ref=external_data_id(EXACT["url"], "3", HASH), sha256=HASH)


async def used_by(activity: documents.Step | documents.Transform | str) -> list[Used] | None:
    """What is stored with an activity now."""
    id = activity if isinstance(activity, str) else activity.id
    document = documents.by_kind(id)
    assert document is not None
    row: Any = await document.get_pymongo_collection().find_one({"_id": id})
    return None if row["used"] is None else [Used.model_validate(used) for used in row["used"]]


async def external_data() -> list[documents.ExternalData]:
    return await documents.ExternalData.find_all(sort="_id").to_list()


async def a_claimed_step(used: list[Used] | None = None) -> documents.Step:
    """The step that the worker holds, of a private twin."""
    dag = await a_dag(a="")
    await documents.Step.find({"_id": dag.steps["a"].id}).update(
        {"$set": {"used": used and [one.model_dump(by_alias=True) for one in used]}}
    )
    assert (await claim())["id"] == dag.steps["a"].id
    return dag.steps["a"]


async def test_what_was_read_is_added_to_what_the_step_was_told_to_use() -> None:
    elsewhere = Used(ref=external_data_id("https://files.example/b.csv", None, None), assumed=True, declared=True)
    others = new.an_output(new.a_step(new.an_execution(new.a_twin(new.a_user()))), sha256=HASH)
    fetched = Used(ref=others.id, sha256=HASH, declared=True, step_key="sea")
    archive = new.an_archive(new.an_instance(public=True))
    await keep(others, archive)
    step = await a_claimed_step([fetched, ASSUMED, elsewhere])

    told = [EXACT, {"id": others.id, "sha256": HASH}, {"id": archive.id}, EXACT]
    payload = await complete(step.id, used=told)

    assert (payload["activity"]["status"], payload["userErrors"]) == ("SUCCEEDED", [])
    assert await used_by(step) == [fetched, elsewhere, READ, Used(ref=archive.id, sha256=archive.sha256)]
    (stored,) = await external_data()
    assert (stored.id, stored.public, stored.owner_refs, stored.size_bytes) == (READ.ref, False, [step.owner_ref], None)
    assert [(report.size_bytes, report.media_type) for report in stored.reports] == [(7, "text/csv")]


@pytest.mark.parametrize(
    ("before", "told", "after"),
    [
        (None, None, None),
        (None, [], []),
        ([], None, []),
        ([ASSUMED], None, [ASSUMED]),
        ([ASSUMED], [], [ASSUMED]),
        ([ASSUMED], [{"url": URL}], [ASSUMED]),
    ],
)
async def test_nothing_said_is_told_from_nothing_read(before: Any, told: Any, after: Any) -> None:
    step = await a_claimed_step(before)

    await complete(step.id, used=told)

    assert await used_by(step) == after


async def test_a_failure_that_ends_the_step_is_recorded_and_one_that_does_not_is_not(clock: Clock) -> None:
    step = await a_claimed_step([ASSUMED])

    await fail(step.id, retryable=True, used=[EXACT])
    waiting = await used_by(step), await external_data()
    clock.forward(10_000)
    await claim()
    await fail(step.id, attempt=2, used=[{"url": URL, "version": "4"}])

    assert waiting == ([ASSUMED], [])
    assert await used_by(step) == [Used(ref=external_data_id(URL, "4", None))]


async def test_a_report_that_is_refused_changes_nothing() -> None:
    hidden = new.external_data(new.a_user(), url=URL, version="1")
    await keep(hidden)
    step = await a_claimed_step([ASSUMED])
    before = await everything_kept()

    told = [{"url": URL}, {"id": hidden.id}, {"url": "ftp://files.example"}, {"id": step.id, "stepKey": "a"}]
    payload = await complete(step.id, used=told)

    assert refusals(payload) == [
        ("NOT_FOUND", ["input", "used", "1", "id"]),
        ("VALIDATION", ["input", "used", "2", "url"]),
        ("VALIDATION", ["input", "used", "3", "stepKey"]),
    ]
    assert await everything_kept() == before


@pytest.mark.parametrize("key", [None, "once"])
async def test_a_repeated_report_is_answered_alike_and_adds_nothing(key: str | None) -> None:
    step = await a_claimed_step()

    first = await complete(step.id, used=[EXACT], idempotencyKey=key)
    before = await everything_kept()
    second = await complete(step.id, used=[EXACT], idempotencyKey=key)
    other = await complete(step.id, used=[{"url": "https://files.example/late.csv"}])

    assert first == second == other
    assert await used_by(step) == [READ]
    assert await everything_kept() == before


async def test_of_too_many_artifacts_the_first_are_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_USED", 2)
    step = await a_claimed_step([Used(ref="output_1")])

    await complete(step.id, used=[EXACT, {"url": "https://files.example/b.csv"}])

    stored = await documents.Step.get(step.id)
    assert stored is not None
    assert (stored.used, stored.used_truncated) == ([Used(ref="output_1"), READ], True)


@pytest.mark.parametrize(("told", "stored"), [({}, None), ({"used": []}, []), ({"used": [EXACT]}, [READ])])
async def test_a_run_that_is_recorded_afterwards_says_what_it_read(told: dict[str, Any], stored: Any) -> None:
    payload = await ingest(**told)

    assert payload["userErrors"] == []
    assert await used_by(payload["transform"]["id"]) == stored
    assert [(row.id, row.public, row.reports, row.size_bytes, row.media_type) for row in await external_data()] == [
        (used.ref, True, [], 7, "text/csv") for used in stored or []
    ]


async def test_a_claimed_transform_ends_with_what_made_it_due_and_what_it_read() -> None:
    resource_id = (await ingest())["resource"]["id"]
    due = Used(ref=external_data_id("gs://bucket/due.csv", "7", None), declared=True)
    waiting = documents.Transform(resource_ref=resource_id, status=ActivityStatus.READY, used=[due])
    await keep(waiting)
    await claim(WORKER)

    refused = await ingest(transformId=waiting.id, used=[{"id": "output_none"}])
    running = await used_by(waiting)
    payload = await ingest(transformId=waiting.id, used=[EXACT])
    again = await ingest(transformId=waiting.id, used=[{"url": URL}])

    assert refusals(refused) == [("NOT_FOUND", ["input", "used", "0", "id"])]
    assert (running, payload["userErrors"]) == ([due], [])
    assert refusals(again) == [("INVALID_STATE", ["input", "transformId"])]
    assert await used_by(waiting) == [due, READ]


async def test_a_transform_that_makes_no_documents_says_what_it_read_too() -> None:
    resource_id = (await ingest())["resource"]["id"]
    waiting = documents.Transform(resource_ref=resource_id, status=ActivityStatus.READY)
    await keep(waiting)
    await claim(WORKER)

    payload = await do(
        "completeActivity",
        "activity { status }",
        WORKER,
        id=waiting.id,
        worker="worker-1",
        attempt=1,
        outcome="SUCCEEDED",
        used=[EXACT],
    )

    assert payload == {"activity": {"status": "SUCCEEDED"}, "userErrors": []}
    assert await used_by(waiting) == [READ]
    assert [row.public for row in await external_data()] == [True]
