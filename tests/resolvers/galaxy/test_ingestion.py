"""Asking for ingestions, following them and ending them, through the schema."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import documents
from documents.base import now
from documents.galaxy.archive import StateCount
from documents.mongo.database import Database
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.galaxy.report.read_report import Batch, read_report
from resolvers.reads.rows import collection_of
from tests.conftest import RoundTrips
from tests.support.asking import ask
from tests.support.builders import everything_kept
from tests.support.ingesting import Server, a_job, jobs, works
from tests.support.ingestions import (
    a_report,
    a_server,
    a_taken_report,
    a_viewer,
    call,
    call_granted,
    call_refused,
    generations,
    ingestion,
    of_instance,
    shown_jobs,
    work,
)
from tests.support.reports import report

NOTHING = dict.fromkeys(("archives", "jobs", "metrics", "datasets", "parameters", "duplicates", "rejected"), "0")
UNKNOWN = "archive_ffffffffffffffffffffffff"


@pytest.fixture
async def owner(database: Database) -> Viewer:
    return await a_viewer()


@pytest.fixture
async def server(owner: Viewer) -> Server:
    return await a_server(owner)


async def test_what_the_active_generation_lacks_is_queued_and_becomes_jobs(owner: Viewer, server: Server) -> None:
    await server.sends(a_report(1, 2))
    await server.sends(a_report(2, 3))

    queued = await call_granted(owner, "ingestArchives", instanceId=server.id)
    await work()
    done = await ingestion(owner, queued["id"])

    assert (queued["kind"], queued["status"], queued["dryRun"], queued["counts"]) == ("INGEST", "READY", False, NOTHING)
    assert queued["generation"]["status"] == "ACTIVE"
    assert (done["status"], done["error"]) == ("SUCCEEDED", None)
    assert done["counts"] == NOTHING | {
        "archives": "2", "jobs": "4", "metrics": "4", "datasets": "8", "parameters": "4", "duplicates": "1"
    }  # fmt: skip
    assert await shown_jobs(owner, server) == [1, 2, 3]


async def test_asking_again_finds_nothing_left_to_do_and_has_succeeded_at_once(owner: Viewer, server: Server) -> None:
    sent = await a_taken_report(owner, server, 1, 2)
    generation = await server.contents()

    every_way: list[dict[str, Any]] = [{}, {"archiveIds": [sent.id]}, {"archiveIds": []}]
    for named in every_way:
        again = await call_granted(owner, "ingestArchives", instanceId=server.id, **named)
        assert (again["status"], again["counts"]) == ("SUCCEEDED", NOTHING)
        assert again["progress"] == {"unit": "jobs", "completed": "0", "total": "0", "rejected": "0"}

    await work()
    assert await server.contents() == generation
    assert await documents.IngestionPart.count() == 1


async def test_what_waits_already_is_not_queued_twice(owner: Viewer, server: Server) -> None:
    await server.sends(a_report(1))

    first = await call_granted(owner, "ingestArchives", instanceId=server.id)
    second = await call_granted(owner, "ingestArchives", instanceId=server.id)

    assert (first["status"], second["status"]) == ("READY", "SUCCEEDED")
    assert await documents.IngestionPart.count() == 1


async def test_the_same_key_gives_the_first_ingestion(owner: Viewer, server: Server) -> None:
    await server.sends(a_report(1))

    first = await call_granted(owner, "ingestArchives", instanceId=server.id, idempotencyKey="once")
    second = await call_granted(owner, "ingestArchives", instanceId=server.id, idempotencyKey="once")
    other = await call_refused(owner, "ingestArchives", instanceId=server.id, idempotencyKey="once", dryRun=True)

    assert first["id"] == second["id"]
    assert [code for code, *_ in other] == ["IDEMPOTENCY_MISMATCH"]
    assert await documents.Ingestion.count() == 1


async def test_a_dry_run_counts_and_keeps_no_jobs(owner: Viewer, server: Server) -> None:
    taken = await a_taken_report(owner, server, 1)
    lacking = await server.sends(report(jobs=[a_job(2), "nonsense"]))
    before = await server.contents()

    dry = await call_granted(owner, "ingestArchives", instanceId=server.id, dryRun=True)
    named = await call_granted(
        owner, "ingestArchives", instanceId=server.id, dryRun=True, archiveIds=[taken.id, lacking.id]
    )
    await work()

    assert (dry["dryRun"], dry["generation"]) == (True, None)
    counts = [(await ingestion(owner, one["id"]))["counts"] for one in (dry, named)]
    assert [(one["archives"], one["jobs"], one["rejected"]) for one in counts] == [("1", "1", "1"), ("2", "2", "1")]
    assert await server.contents() == before


async def test_archives_that_cannot_be_ingested_are_named_all_at_once(owner: Viewer, server: Server) -> None:
    other = await a_server(owner)
    good, foreign = await server.sends(a_report(1)), await other.sends(a_report(1))
    unreadable = await server.sends(a_report(2), quarantine="It has the version 4.")
    replaced = await server.sends(a_report(3), current=False, superseded_by_ref=good.id)
    before = await everything_kept()
    named = [good.id, UNKNOWN, foreign.id, unreadable.id, replaced.id]

    errors = await call_refused(owner, "ingestArchives", instanceId=server.id, archiveIds=named)

    assert errors == [
        ("NOT_FOUND", f"No Archive with id {UNKNOWN}.", "archiveIds.1"),
        ("NOT_FOUND", f"No Archive with id {foreign.id}.", "archiveIds.2"),
        ("VALIDATION", f"{unreadable.id} cannot be ingested by this release: It has the version 4.", "archiveIds.3"),
        ("VALIDATION", f"{replaced.id} was replaced by {good.id}, which is ingested instead.", "archiveIds.4"),
    ]
    assert await everything_kept() == before


async def test_only_so_many_archives_are_named_at_once(owner: Viewer, server: Server) -> None:
    errors = await call_refused(owner, "ingestArchives", instanceId=server.id, archiveIds=[UNKNOWN] * 1001)

    assert errors == [("LIMIT_EXCEEDED", "1,001 archives are too many; at most 1,000 are allowed.", "archiveIds")]


@pytest.mark.parametrize("public", [False, True])
async def test_nobody_but_an_owner_asks_for_anything(owner: Viewer, public: bool) -> None:
    server = await a_server(owner, public=public)
    await a_taken_report(owner, server, 1)
    await server.sends(a_report(2))
    waiting = await call_granted(owner, "ingestArchives", instanceId=server.id)
    active, somebody = (await server.generation())["_id"], await a_viewer()
    before = await everything_kept()

    for stranger in (somebody, Viewer(Role.WORKER)):
        calls = [
            await call_refused(stranger, "ingestArchives", instanceId=server.id),
            await call_refused(stranger, "reprocessArchives", instanceId=server.id, reason="r"),
            await call_refused(stranger, "cancelIngestion", id=waiting["id"]),
            await call_refused(stranger, "activateGeneration", generationId=active),
            await call_refused(stranger, "discardGeneration", generationId=active),
        ]
        assert [[code for code, *_ in errors] for errors in calls] == [["FORBIDDEN" if public else "NOT_FOUND"]] * 5

    assert await everything_kept() == before


async def test_progress_is_known_while_it_is_read_and_its_total_when_every_report_says_one(
    owner: Viewer, server: Server
) -> None:
    said: list[list[StateCount]] = [[], [StateCount(state="ok", count=2**40), StateCount(state="error", count=40)]]
    archives = [await server.sends(a_report(number), declared_jobs=counts) for number, counts in enumerate(said)]
    queued = await call_granted(owner, "ingestArchives", instanceId=server.id)
    parts = collection_of(documents.IngestionPart)
    shown = []

    for values in ({"done": 30, "counts.rejected": 1}, {"declared": 60}):
        await parts.update_many({"archiveRef": archives[0].id}, {"$set": values})
        shown.append((await ingestion(owner, queued["id"]))["progress"])

    unknown = {"unit": "jobs", "completed": "30", "total": None, "rejected": "1"}
    assert shown == [unknown, unknown | {"total": str(2**40 + 100)}]


async def test_counts_of_many_ingestions_are_one_look_at_their_parts(
    owner: Viewer, server: Server, round_trips: RoundTrips
) -> None:
    for number in range(5):
        await a_taken_report(owner, server, number)

    with round_trips.counting() as seen:
        shown = await of_instance(owner, server, "ingestions { nodes { counts { jobs } } }")

    assert [one["counts"]["jobs"] for one in shown["ingestions"]["nodes"]] == ["1"] * 5
    assert sorted(seen) == [("aggregate", "ingestionParts"), ("find", "ingestions"), ("find", "instances")]


async def test_rejections_lead_to_the_line_of_the_report(owner: Viewer, server: Server) -> None:
    sent = await server.sends(report(jobs=[a_job(1), "2\tcat1"], metric_num=["1\tcore\tgalaxy_slots\tmany"]))
    queued = await call_granted(owner, "ingestArchives", instanceId=server.id)
    await work()

    query = """query ($id: ID!, $after: String) { node(id: $id) { ... on Ingestion {
      rejections(first: 1, after: $after) { nodes { archive { id } member line code message excerpt }
        pageInfo { endCursor hasNextPage } totalCount } } } }"""
    first = (await ask(query, owner, id=queued["id"]))["node"]["rejections"]
    second = (await ask(query, owner, id=queued["id"], after=first["pageInfo"]["endCursor"]))["node"]["rejections"]

    assert (first["totalCount"], first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (
        2,
        True,
        False,
    )
    assert [(one["archive"]["id"], one["line"], one["code"]) for one in (*first["nodes"], *second["nodes"])] == [
        (sent.id, "3", "MALFORMED_ROW"),
        (sent.id, "2", "BAD_NUMBER"),
    ]
    assert first["nodes"][0]["excerpt"] == "2\tcat1"


async def test_an_ingestion_tells_what_happens_in_its_log_and_an_archive_which_ingestions_took_it_up(
    owner: Viewer, server: Server
) -> None:
    sent = await a_taken_report(owner, server, 1)
    again = await call_granted(owner, "reprocessArchives", instanceId=server.id, reason="r")
    query = """query ($id: ID!) { node(id: $id) { ... on Archive { ingestions { totalCount nodes {
      id kind logs { nodes { level message } } } } } } }"""

    shown = (await ask(query, owner, id=sent.id))["node"]["ingestions"]

    assert (shown["totalCount"], [one["kind"] for one in shown["nodes"]]) == (2, ["INGEST", "REPROCESS"])
    assert shown["nodes"][1]["id"] == again["id"]
    assert [line["level"] for line in shown["nodes"][0]["logs"]["nodes"]] == ["INFO", "INFO"]


async def test_a_report_that_is_refused_blocks_no_other_and_is_read_again_only_when_it_is_named(
    owner: Viewer, server: Server
) -> None:
    bad, good = await server.sends(b"no archive"), await server.sends(a_report(1))
    queued = await call_granted(owner, "ingestArchives", instanceId=server.id)
    await work()

    later = await call_granted(owner, "ingestArchives", instanceId=server.id)
    named = await call_granted(owner, "ingestArchives", instanceId=server.id, archiveIds=[bad.id, good.id])
    await work()

    done, failed = await ingestion(owner, queued["id"]), await ingestion(owner, named["id"])
    assert (done["status"], done["counts"]["archives"], later["status"]) == ("SUCCEEDED", "1", "SUCCEEDED")
    assert (failed["status"], failed["error"]["code"]) == ("FAILED", "CORRUPT_ARCHIVE")
    assert bad.identifier in failed["error"]["message"]
    assert await shown_jobs(owner, server) == [1]


async def test_a_report_whose_worker_was_lost_for_good_is_queued_again(owner: Viewer, server: Server) -> None:
    await server.sends(a_report(1))
    await call_granted(owner, "ingestArchives", instanceId=server.id)
    lost = {"status": "FAILED", "holds": False, "error": {"code": "LEASE_LAPSED", "message": "m", "retryable": False}}
    await collection_of(documents.IngestionPart).update_many({}, {"$set": lost | {"end_timestamp": now()}})

    again = await call_granted(owner, "ingestArchives", instanceId=server.id)

    assert again["status"] == "READY"


async def test_a_cancelled_ingestion_leaves_nothing_of_what_was_not_complete(owner: Viewer, server: Server) -> None:
    await a_taken_report(owner, server, 1, 2)
    before = await server.contents()
    await server.sends(jobs(3, 4))
    queued = await call_granted(owner, "ingestArchives", instanceId=server.id)

    cancelled = await call_granted(owner, "cancelIngestion", id=queued["id"], reason="A mistake.")
    again = await call(owner, "cancelIngestion", id=queued["id"])
    await work()

    assert (cancelled["status"], cancelled["error"]) == ("CANCELLED", {"code": "CANCELLED", "message": "A mistake."})
    assert again["userErrors"] == [
        {
            "__typename": "InvalidState",
            "code": "INVALID_STATE",
            "message": f"{queued['id']} is CANCELLED; it has ended and cannot be cancelled.",
            "path": ["input", "id"],
            "currentState": "CANCELLED",
            "allowedStates": ["PENDING", "READY", "RUNNING"],
        }
    ]
    assert await server.contents() == before
    assert (await call_granted(owner, "ingestArchives", instanceId=server.id))["status"] == "READY"


async def test_rows_that_a_cancelled_worker_has_written_are_removed(owner: Viewer, server: Server) -> None:
    await a_taken_report(owner, server, 1)
    before = await server.contents()
    await server.sends(jobs(*range(2, 2500)))
    queued = await call_granted(owner, "ingestArchives", instanceId=server.id)
    active = (await server.generation())["_id"]
    cancelling: list[Any] = []

    @asynccontextmanager
    async def reads_and_is_cancelled(archive: Any, **options: Any) -> AsyncIterator[AsyncIterator[Batch]]:
        async def batches() -> AsyncIterator[Batch]:
            archive.seek(0)
            for batch in read_report(archive, **options):
                yield batch
                if batch.rows and not cancelling:
                    cancelling.append(await call_granted(owner, "cancelIngestion", id=queued["id"]))

        yield batches()

    await works(read=reads_and_is_cancelled)

    assert [one["status"] for one in cancelling] == ["CANCELLED"]
    assert await server.contents() == before
    assert await collection_of(documents.Job).count_documents({"generationRef": active}) == 1
    assert list((await generations(owner, server)).values()) == ["ACTIVE"]


async def test_a_private_instances_ingestions_and_jobs_do_not_exist_for_strangers(
    owner: Viewer, server: Server
) -> None:
    await server.sends(report(jobs=[a_job(1), "nonsense"]))
    queued = await call_granted(owner, "ingestArchives", instanceId=server.id)
    await work()
    job = f"{documents.Job.id_prefix(queued['generation']['id'])}1"
    query = """query ($ids: [ID!]!, $generation: ID) { nodes(ids: $ids) { id } instances { totalCount }
      jobs { totalCount nodes { id } } other: jobs(where: {generationId: $generation}) { totalCount nodes { id } } }"""
    given = {
        "ids": [server.id, queued["id"], queued["generation"]["id"], job],
        "generation": queued["generation"]["id"],
    }

    seen = [await ask(query, viewer, **given) for viewer in (ANONYMOUS, await a_viewer(), owner)]

    nothing = {"totalCount": 0, "nodes": []}
    hidden = {"nodes": [None] * 4, "instances": {"totalCount": 0}, "jobs": nothing, "other": nothing}
    one = {"totalCount": 1, "nodes": [{"id": job}]}
    assert seen[:2] == [hidden, hidden]
    assert seen[2] == {
        "nodes": [{"id": id} for id in given["ids"]], "instances": {"totalCount": 1}, "jobs": one, "other": one
    }  # fmt: skip


async def test_what_is_queued_while_an_instance_is_published_is_published_too(owner: Viewer, server: Server) -> None:
    update = """mutation ($id: ID!, $public: Boolean) { updateInstance(input: {id: $id, public: $public}) {
      userErrors { message } } }"""
    followers = (documents.Generation, documents.Ingestion)
    await a_taken_report(owner, server, 0)

    for number in range(1, 7):
        sent = await server.sends(a_report(number))
        public = number % 2 == 0
        await asyncio.gather(
            ask(update, owner, id=server.id, public=public),
            call(owner, "ingestArchives", instanceId=server.id, archiveIds=[sent.id]),
            call(owner, "reprocessArchives", instanceId=server.id, reason="r"),
        )

        shown = {row["public"] for kind in followers for row in await collection_of(kind).find({}).to_list()}
        assert shown == {public}
        assert (await documents.Ingestion.count(), await documents.Generation.count()) == (2 * number + 1, number + 1)


async def test_the_same_reports_asked_for_at_the_same_time_are_queued_once(owner: Viewer, server: Server) -> None:
    for number in range(4):
        await server.sends(a_report(number))

    answers = await asyncio.gather(*(call_granted(owner, "ingestArchives", instanceId=server.id) for _ in range(4)))
    await work()

    assert sorted(one["status"] for one in answers) == ["READY", "SUCCEEDED", "SUCCEEDED", "SUCCEEDED"]
    assert await documents.Generation.count() == 1
    assert await shown_jobs(owner, server) == [0, 1, 2, 3]


async def test_publishing_an_instance_publishes_its_ingestions_generations_and_jobs(
    owner: Viewer, server: Server
) -> None:
    await a_taken_report(owner, server, 1)
    update = """mutation ($id: ID!, $public: Boolean) { updateInstance(input: {id: $id, public: $public}) {
      userErrors { message } } }"""
    query = """query ($id: ID) { instance(id: $id) { activeGeneration { jobs } generations { totalCount }
      ingestions { totalCount } jobs { totalCount } } jobs { totalCount } }"""
    shown = []

    for public in (True, False):
        await ask(update, owner, id=server.id, public=public)
        shown.append(await ask(query, ANONYMOUS, id=server.id))

    one = {"totalCount": 1}
    assert shown == [
        {
            "instance": {"activeGeneration": {"jobs": "1"}, "generations": one, "ingestions": one, "jobs": one},
            "jobs": one,
        },
        {"instance": None, "jobs": {"totalCount": 0}},
    ]
