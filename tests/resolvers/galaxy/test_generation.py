"""Generations through the schema: reading all reports again, switching to and fro, and giving up."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import documents
from documents.mongo.database import Database
from documents.mongo.transaction import in_transaction
from resolvers.access.viewer import Viewer
from resolvers.galaxy.ingestion_queue import queue_ingest
from resolvers.galaxy.report import PARSER_VERSION
from resolvers.galaxy.report.read_report import Batch, read_report
from resolvers.reads.rows import Row, collection_of
from tests.support.asking import ask, without_comparison
from tests.support.builders import everything_kept
from tests.support.ingesting import Contents, Server, jobs, the, works
from tests.support.ingestions import (
    a_report,
    a_server,
    a_taken_report,
    a_viewer,
    call_granted,
    call_refused,
    generations,
    ingestion,
    of_instance,
    replace_report,
    shown_jobs,
    work,
)


@pytest.fixture
async def owner(database: Database) -> Viewer:
    return await a_viewer()


@pytest.fixture
async def server(owner: Viewer) -> Server:
    return await a_server(owner)


def with_parser(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """Let this be a release whose parser has another version."""
    for module in ("ingestion_queue", "generation_switch", "generation"):
        monkeypatch.setattr(f"resolvers.galaxy.{module}.PARSER_VERSION", version)


async def reprocessed(owner: Viewer, server: Server, **given: Any) -> str:
    """The id of a generation into which all reports were read."""
    queued = await call_granted(owner, "reprocessArchives", instanceId=server.id, reason="A look.", **given)
    await work()
    id: str = queued["generation"]["id"]
    return id


async def sent_by_itself(server: Server, content: bytes, **fields: Any) -> Row | None:
    """The ingestion that an upload queues."""
    archive = await server.sends(content, **fields)

    async def queue(session: Any) -> Row | None:
        return await queue_ingest(await server.row(session), [archive.id], session)

    return await in_transaction(queue)


async def test_reading_all_again_twice_gives_equal_generations_and_readers_see_nothing_of_it(
    owner: Viewer, server: Server
) -> None:
    await a_taken_report(owner, server, 3, 1)
    await a_taken_report(owner, server, 2, 1)
    before = await server.generation()

    one, other = [await reprocessed(owner, server) for _ in range(2)]

    query = "generations { nodes { id status parserVersion archives jobs contentHash reason } } activeGeneration { id }"
    shown = await of_instance(owner, server, query)
    common = {"parserVersion": PARSER_VERSION, "archives": 2, "jobs": "3", "contentHash": before["content_hash"]}
    assert shown == {
        "generations": {
            "nodes": [
                {"id": before["_id"], "status": "ACTIVE", **common, "reason": None},
                {"id": one, "status": "READY", **common, "reason": "A look."},
                {"id": other, "status": "READY", **common, "reason": "A look."},
            ]
        },
        "activeGeneration": {"id": before["_id"]},
    }
    counted = [await Contents.of(await the(documents.Generation, id)) for id in (before["_id"], one, other)]
    assert counted[0] == counted[1] == counted[2]


async def test_while_it_is_read_readers_see_one_generation_or_the_other(owner: Viewer, server: Server) -> None:
    await a_taken_report(owner, server, *range(1, 40))
    await collection_of(documents.Job).update_many({}, {"$set": {"tool_version": "before"}})
    query = """jobs(first: 100) { totalCount nodes { toolVersion } } activeGeneration { id jobs }
      other: jobs(first: 1, where: {generationId: %s}) { totalCount }"""
    seen: list[Any] = []
    begun: list[str] = []

    @asynccontextmanager
    async def watched(archive: Any, **options: Any) -> AsyncIterator[AsyncIterator[Batch]]:
        async def batches() -> AsyncIterator[Batch]:
            archive.seek(0)
            for batch in read_report(archive, **options):
                yield batch
                # Rows of the batch before may be written between one way of answering and the other.
                with without_comparison():
                    seen.append(await of_instance(owner, server, query % f'"{begun[0]}"'))

        yield batches()

    queued = await call_granted(owner, "reprocessArchives", instanceId=server.id, reason="r", activate=True)
    begun.append(queued["generation"]["id"])
    await works(read=watched)
    after = await of_instance(owner, server, query % f'"{begun[0]}"')

    assert queued["generation"]["status"] == "BUILDING"
    assert {one["toolVersion"] for shown in seen for one in shown["jobs"]["nodes"]} == {"before"}
    assert {shown["jobs"]["totalCount"] for shown in seen} == {39}
    assert {one["toolVersion"] for one in after["jobs"]["nodes"]} == {"1.0.0"}
    assert after["activeGeneration"] == {"id": begun[0], "jobs": "39"}
    assert after["jobs"]["totalCount"] == after["other"]["totalCount"] == 39


async def test_switching_there_and_back(owner: Viewer, server: Server) -> None:
    await a_taken_report(owner, server, 1, 2)
    old = (await server.generation())["_id"]
    fresh = await reprocessed(owner, server)
    await collection_of(documents.Job).delete_one({"generationRef": fresh, "external_id": 2})
    shown = []

    for to, expected in ((fresh, old), (old, fresh), (old, None)):
        given = {"expectedActiveGenerationId": expected} if expected else {}
        active = await call_granted(owner, "activateGeneration", generationId=to, **given)
        shown.append(
            (active["id"], active["status"], await generations(owner, server), await shown_jobs(owner, server))
        )

    there = (fresh, "ACTIVE", {old: "RETIRED", fresh: "ACTIVE"}, [1])
    back = (old, "ACTIVE", {old: "ACTIVE", fresh: "RETIRED"}, [1, 2])
    assert shown == [there, back, back]
    assert await documents.Ingestion.count() == 2


async def test_a_switch_that_expects_another_generation_is_refused(owner: Viewer, server: Server) -> None:
    await a_taken_report(owner, server, 1)
    old = (await server.generation())["_id"]
    fresh = await reprocessed(owner, server)
    before = await everything_kept()

    errors = await call_refused(owner, "activateGeneration", generationId=fresh, expectedActiveGenerationId=fresh)

    message = f"{old} is active, not {fresh}."
    assert errors == [("REVISION_CONFLICT", message, "expectedActiveGenerationId")]
    assert await everything_kept() == before


async def test_what_is_incomplete_or_given_up_is_not_activated(owner: Viewer, server: Server) -> None:
    await a_taken_report(owner, server, 1)
    building = await call_granted(owner, "reprocessArchives", instanceId=server.id, reason="r")
    given_up = await call_granted(owner, "reprocessArchives", instanceId=server.id, reason="r")
    await call_granted(owner, "cancelIngestion", id=given_up["id"])
    ids = [one["generation"]["id"] for one in (building, given_up)]
    before = await everything_kept()

    errors = [await call_refused(owner, "activateGeneration", generationId=id) for id in ids]
    active = await call_refused(owner, "discardGeneration", generationId=(await server.generation())["_id"])

    assert [[(code, path) for code, _, path in one] for one in errors] == [[("INVALID_STATE", "generationId")]] * 2
    assert errors[0][0][1] == f"{ids[0]} is BUILDING; only READY and RETIRED ones are made active."
    assert [code for code, *_ in active] == ["INVALID_STATE"]
    assert await everything_kept() == before


async def test_activation_queues_what_came_meanwhile(owner: Viewer, server: Server) -> None:
    await a_taken_report(owner, server, 1)
    fresh = await reprocessed(owner, server)
    await a_taken_report(owner, server, 2)

    await call_granted(owner, "activateGeneration", generationId=fresh)
    incomplete = await shown_jobs(owner, server)
    await work()

    assert (incomplete, await shown_jobs(owner, server)) == ([1], [1, 2])
    assert (await server.generation())["_id"] == fresh


async def test_activation_does_not_queue_what_was_refused(owner: Viewer, server: Server) -> None:
    await server.sends(b"no archive")
    await a_taken_report(owner, server, 1)
    fresh = await reprocessed(owner, server)
    ingestions = await documents.Ingestion.count()

    await call_granted(owner, "activateGeneration", generationId=fresh)

    assert await documents.Ingestion.count() == ingestions


async def test_a_discarded_generation_loses_its_jobs_and_usage_and_nothing_else(owner: Viewer, server: Server) -> None:
    await a_taken_report(owner, server, *range(1, 60))
    before, fresh = await server.contents(), await reprocessed(owner, server)

    discarded = await call_granted(owner, "discardGeneration", generationId=fresh)
    hidden = await shown_jobs(owner, server, f', where: {{generationId: "{fresh}"}}')
    await work()

    of_it = {"generationRef": fresh}
    assert (discarded["status"], hidden) == ("DISCARDED", [])
    assert await collection_of(documents.Job).count_documents(of_it) == 0
    assert await collection_of(documents.Usage).count_documents(of_it) == 0
    assert await server.contents() == before


async def test_cancelling_a_reprocess_gives_its_generation_up(owner: Viewer, server: Server) -> None:
    await a_taken_report(owner, server, 1)
    before = await server.contents()
    queued = await call_granted(owner, "reprocessArchives", instanceId=server.id, reason="r", activate=True)

    await call_granted(owner, "cancelIngestion", id=queued["id"])
    await work()

    assert list((await generations(owner, server)).values()) == ["ACTIVE", "DISCARDED"]
    assert await server.contents() == before


async def test_a_reprocess_of_which_nothing_could_be_taken_fails_and_is_given_up(owner: Viewer, server: Server) -> None:
    await server.sends(b"no archive")

    queued = await call_granted(owner, "reprocessArchives", instanceId=server.id, reason="r", activate=True)
    await work()

    done = await ingestion(owner, queued["id"])
    assert (done["status"], done["error"]["code"]) == ("FAILED", "CORRUPT_ARCHIVE")
    assert done["generation"]["status"] == "DISCARDED"
    assert (await server.row())["activeGenerationRef"] is None


async def test_a_dry_run_of_a_reprocess_makes_no_generation(owner: Viewer, server: Server) -> None:
    await a_taken_report(owner, server, 1, 2)
    before = await generations(owner, server)

    queued = await call_granted(
        owner, "reprocessArchives", instanceId=server.id, reason="r", dryRun=True, activate=True
    )
    await work()

    done = await ingestion(owner, queued["id"])
    assert (done["kind"], done["generation"], done["counts"]["jobs"]) == ("REPROCESS", None, "2")
    assert await generations(owner, server) == before


async def test_a_report_that_comes_while_the_first_generation_is_built_is_shown_at_once_unless_that_will_be(
    owner: Viewer, server: Server
) -> None:
    first = await server.sends(a_report(1))
    await call_granted(owner, "reprocessArchives", instanceId=server.id, reason="r")
    await call_granted(owner, "ingestArchives", instanceId=server.id, archiveIds=[first.id])
    other = await a_server(owner)
    second = await other.sends(a_report(1))
    building = await call_granted(owner, "reprocessArchives", instanceId=other.id, reason="r", activate=True)
    nothing = await call_granted(owner, "ingestArchives", instanceId=other.id, archiveIds=[second.id])

    shown = [list((await generations(owner, one)).values()) for one in (server, other)]
    await work()

    assert (shown, nothing["status"]) == ([["BUILDING", "ACTIVE"], ["BUILDING"]], "SUCCEEDED")
    assert await shown_jobs(owner, server) == await shown_jobs(owner, other) == [1]
    assert (await other.generation())["_id"] == building["generation"]["id"]


@pytest.mark.parametrize(("activate", "status"), [(False, "READY"), (True, "ACTIVE")])
async def test_reading_nothing_again_is_done_at_once(
    owner: Viewer, server: Server, activate: bool, status: str
) -> None:
    queued = await call_granted(owner, "reprocessArchives", instanceId=server.id, reason="r", activate=activate)

    assert (queued["status"], queued["generation"]["status"]) == ("SUCCEEDED", status)
    assert (await the(documents.Generation, queued["generation"]["id"]))["content_hash"] == "0" * 32


async def test_after_an_upgrade_of_the_parser_the_next_report_has_all_read_again(
    owner: Viewer, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_taken_report(owner, server, 1)
    old = (await server.generation())["_id"]
    with_parser(monkeypatch, "99")

    first, second = await sent_by_itself(server, jobs(2)), await sent_by_itself(server, jobs(3))
    asked = await call_granted(owner, "ingestArchives", instanceId=server.id)
    meanwhile = await shown_jobs(owner, server)
    await work(parser="99")

    assert first
    assert second
    assert (first["kind"], second["kind"], asked["status"]) == ("REPROCESS", "INGEST", "SUCCEEDED")
    assert first["reason"] == f"Version 99 of the parser took the place of version {PARSER_VERSION}."
    assert (meanwhile, await shown_jobs(owner, server)) == ([1], [1, 2, 3])
    fresh = await server.generation()
    assert (fresh["parser_version"], fresh["archives"], fresh["jobs"]) == ("99", 3, 3)
    assert await generations(owner, server) == {old: "RETIRED", fresh["_id"]: "ACTIVE"}


async def test_whoever_switches_back_to_an_earlier_parser_keeps_it_whatever_is_uploaded(
    owner: Viewer, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_taken_report(owner, server, 1)
    old = (await server.generation())["_id"]
    with_parser(monkeypatch, "99")
    await sent_by_itself(server, jobs(2))
    await work(parser="99")
    fresh = (await server.generation())["_id"]

    await call_granted(owner, "activateGeneration", generationId=old)
    await sent_by_itself(server, jobs(3))
    await work(parser="99")

    assert await shown_jobs(owner, server) == [1]
    assert await generations(owner, server) == {old: "ACTIVE", fresh: "RETIRED"}
    assert await shown_jobs(owner, server, f', where: {{generationId: "{fresh}"}}') == [1, 2, 3]


async def test_of_several_generations_of_this_parser_the_newest_takes_what_is_uploaded(
    owner: Viewer, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_taken_report(owner, server, 1)
    old = (await server.generation())["_id"]
    with_parser(monkeypatch, "99")
    await sent_by_itself(server, jobs(2))
    await work(parser="99")
    earlier = (await server.generation())["_id"]
    queued = await call_granted(owner, "reprocessArchives", instanceId=server.id, reason="A look.")
    await work(parser="99")
    newest = queued["generation"]["id"]

    await call_granted(owner, "activateGeneration", generationId=old)
    await sent_by_itself(server, jobs(3))
    await work(parser="99")

    assert await shown_jobs(owner, server) == [1]
    assert await shown_jobs(owner, server, f', where: {{generationId: "{earlier}"}}') == [1, 2]
    assert await shown_jobs(owner, server, f', where: {{generationId: "{newest}"}}') == [1, 2, 3]


async def test_a_report_that_replaces_one_takes_its_jobs_away(owner: Viewer, server: Server) -> None:
    first = await a_taken_report(owner, server, 1, 2)
    await a_taken_report(owner, server, 3)
    replacing = await replace_report(server, first, jobs(2, 4))

    fresh = await call_granted(owner, "ingestArchives", instanceId=server.id, archiveIds=[replacing.id])
    await work()

    assert (fresh["kind"], fresh["reason"]) == ("REPROCESS", "A report was replaced by another.")
    assert await shown_jobs(owner, server) == [2, 3, 4]
    assert list((await generations(owner, server)).values()) == ["RETIRED", "ACTIVE"]


async def test_of_two_generations_that_are_outdated_before_they_are_complete_only_the_last_is_built(
    owner: Viewer, server: Server
) -> None:
    sent = [await a_taken_report(owner, server, number) for number in (1, 2)]

    for number, archive in enumerate(sent):
        replacing = await replace_report(server, archive, jobs(10 + number))
        await call_granted(owner, "ingestArchives", instanceId=server.id, archiveIds=[replacing.id])
    await work()

    assert await shown_jobs(owner, server) == [10, 11]
    assert list((await generations(owner, server)).values()) == ["RETIRED", "DISCARDED", "ACTIVE"]


async def test_generations_are_found_by_their_ids_and_lead_to_their_instance(owner: Viewer, server: Server) -> None:
    await server.sends(a_report(1))
    await call_granted(owner, "ingestArchives", instanceId=server.id)
    id = (await server.generation())["_id"]
    query = "query ($id: ID!) { node(id: $id) { ... on Generation { instance { id activeGeneration { id } } } } }"

    shown = await ask(query, owner, id=id)

    assert shown["node"]["instance"] == {"id": server.id, "activeGeneration": {"id": id}}
