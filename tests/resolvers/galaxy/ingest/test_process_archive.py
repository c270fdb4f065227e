"""Reports become jobs: what a worker makes of archives when nothing goes wrong on its side."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import IO, Any

import pytest
from bson import decode, encode

import documents
from resolvers.galaxy.ingest.part_claim import PartClaimer
from resolvers.galaxy.ingest.part_lease import ClaimedPart
from resolvers.galaxy.ingest.poll_loop import ingest
from resolvers.galaxy.report.digest import RowsDigest, row_digest
from resolvers.galaxy.report.read_report import Batch
from resolvers.galaxy.report.sandbox.run_sandbox import read_in_subprocess
from resolvers.reads.rows import Row, collection_of
from tests.support.builders import everything_kept
from tests.support.galaxies import metadata
from tests.support.ingesting import Server, a_job, a_runtime, bucket, jobs, lines_of, parts_of, read_here, the, usage
from tests.support.ingesting import works as works_here
from tests.support.patience import until_awaited, within
from tests.support.reports import archive, member, read, report

pytestmark = pytest.mark.usefixtures("database")
works = partial(works_here, read=read_in_subprocess)
"""Let workers take archives as they do by themselves: each is read in a process of its own."""
COUNTS = {"jobs": 0, "metrics": 0, "datasets": 0, "parameters": 0, "duplicates": 0, "rejected": 0}


async def test_a_report_becomes_jobs_of_the_active_generation() -> None:
    server = await Server.new()
    content = report(jobs=[a_job(1), a_job(2, state="error")], metric_num=[a_runtime(1, 12.5)])
    sent = await server.sends(content)
    ingestion = await server.queues()

    await works()

    generation, row = await server.generation(), await the(documents.Ingestion, ingestion)
    assert (generation["archives"], generation["jobs"], generation["folding"]) == (1, 2, None)
    assert generation["content_hash"] == read(content).summary.digest
    assert await server.states() == {1: "ok", 2: "error"}
    assert (row["status"], row["attempt"], row["worker"], row["leaseExpiresAt"]) == ("SUCCEEDED", 1, "worker-0", None)
    assert row["start_timestamp"] <= row["end_timestamp"]
    (part,) = await parts_of(ingestion)
    assert part["counts"] == COUNTS | {"jobs": 2, "metrics": 1}
    assert (part["declared"], part["done"]) == (2, 2)
    assert await lines_of(ingestion) == [
        f"Report {sent.identifier} was ingested: 2 jobs, 1 metric, 0 datasets, 0 parameters; 0 rows rejected.",
        "All archives have been processed.",
    ]


async def test_a_job_is_stored_with_its_server_generation_and_archive() -> None:
    server = await Server.new()
    sent = await server.sends(report(jobs=[a_job(7)], metric_num=[a_runtime(7, 3)]))
    await server.queues()

    await works()

    (row,) = await collection_of(documents.Job).find({}).to_list()
    generation = await server.generation()
    assert row.pop("_id") == f"{documents.Job.id_prefix(generation['_id'])}7"
    assert (row["instanceRef"], row["generationRef"], row["archiveRef"]) == (server.id, generation["_id"], sent.id)
    assert (row["external_id"], row["runtime_seconds"], len(row["digest"])) == (7, 3.0, 16)


async def test_usage_is_counted_with_the_jobs() -> None:
    server = await Server.new()
    await server.sends(report(jobs=[a_job(1), a_job(2, state="error")], metric_num=[a_runtime(1, 12.5)]))
    await server.queues()

    await works()

    counted = await usage((await server.generation())["_id"])
    by_tool = counted[("TOOL", "cat1", "None", "None", "None")]
    assert (by_tool["jobs"], by_tool["failed"]) == (2, 1)


async def test_reports_of_two_servers_with_the_same_numbers_do_not_mix() -> None:
    one, other = await Server.new(), await Server.new()
    await one.sends(jobs(1, 2, 3))
    await other.sends(jobs(2, 3, 4, state="error"))
    await one.queues()
    await other.queues()

    await works(workers=2)

    assert await one.states() == {1: "ok", 2: "ok", 3: "ok"}
    assert await other.states() == {2: "error", 3: "error", 4: "error"}


async def test_a_report_that_arrives_late_is_ingested() -> None:
    server = await Server.new()
    await server.sends(jobs(4, 5), day=20)
    await server.queues()
    await works()

    late = await server.sends(jobs(1, 2), day=3)
    await server.queues(late)
    await works()

    assert await server.states() == dict.fromkeys([1, 2, 4, 5], "ok")
    assert (await server.generation())["jobs"] == 4


async def test_every_bad_row_is_kept_as_a_rejection_and_the_others_as_jobs() -> None:
    server = await Server.new()
    lines = [a_job(1), "2\tcat1\t1.0.0", a_job(3), "x\tcat1\t1\tok\tNone"]
    await server.sends(report(jobs=lines))
    ingestion = await server.queues()

    await works()

    rejections = collection_of(documents.Rejection).find({"ingestionRef": ingestion}, sort=[("_id", 1)])
    assert [(row["line"], row["code"]) async for row in rejections] == [(3, "MALFORMED_ROW"), (5, "BAD_NUMBER")]
    assert set(await server.states()) == {1, 3}
    (part,) = await parts_of(ingestion)
    assert part["counts"] == COUNTS | {"jobs": 2, "rejected": 2}


async def test_a_report_that_counts_other_jobs_than_it_holds_is_taken_with_a_remark() -> None:
    server = await Server.new()
    content, called = jobs(1, 2), "1577836800.5"
    said = metadata(called, content, jobs={"ok": 3}).decode()
    await server.sends(content, identifier=called, metadata=said)
    ingestion = await server.queues()

    await works()

    codes = await collection_of(documents.Rejection).distinct("code", {"ingestionRef": ingestion})
    assert codes == ["COUNT_MISMATCH"]
    assert (await server.generation())["jobs"] == 2


async def test_a_refused_archive_leaves_the_good_ones_of_its_ingestion_alone() -> None:
    server = await Server.new()
    good = await server.sends(jobs(1, 2))
    bad = await server.sends(jobs(3, 4)[:-40])
    also_good = await server.sends(jobs(5))
    ingestion = await server.queues(good, bad, also_good)

    await works()

    row = await the(documents.Ingestion, ingestion)
    parts = {part["archiveRef"]: part for part in await parts_of(ingestion)}
    assert (row["status"], row["error"]) == ("SUCCEEDED", None)
    assert [parts[one.id]["status"] for one in (good, bad, also_good)] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert (parts[bad.id]["error"]["code"], parts[bad.id]["holds"], parts[bad.id]["leftovers"]) == (
        "CORRUPT_ARCHIVE",
        False,
        False,
    )
    assert await server.states() == {1: "ok", 2: "ok", 5: "ok"}
    assert (await server.generation())["archives"] == 2


async def test_an_ingestion_fails_when_all_its_archives_are_refused_and_names_the_first() -> None:
    server = await Server.new()
    bad = await server.sends(archive(member("params", '1\tx\t"1"')))
    await server.sends(b"no archive at all")
    ingestion = await server.queues()

    await works()

    row = await the(documents.Ingestion, ingestion)
    assert (row["status"], row["error"]["code"]) == ("FAILED", "MISSING_MEMBER")
    assert row["error"]["message"].startswith(f"Report {bad.identifier}: ")
    assert (await lines_of(ingestion))[-1] == "None of its archives could be ingested."
    assert await collection_of(documents.Job).count_documents({}) == 0


async def test_an_archive_whose_bytes_are_gone_or_others_is_refused() -> None:
    server = await Server.new()
    gone, changed = await server.sends(jobs(1)), await server.sends(jobs(2), sha256="1" * 64)
    await bucket().delete(gone.key)
    ingestion = await server.queues()

    await works()

    parts = {part["archiveRef"]: part["error"] for part in await parts_of(ingestion)}
    assert [parts[one.id]["code"] for one in (gone, changed)] == ["MISSING_BYTES"] * 2
    assert "No object exists" in parts[gone.id]["message"]
    assert "differs from the one that was registered" in parts[changed.id]["message"]


async def test_a_dry_run_counts_and_rejects_and_writes_no_jobs() -> None:
    server = await Server.new()
    content = report(jobs=[a_job(1), "nonsense"], metric_num=[a_runtime(1, 5)])
    await server.sends(content)
    ingestion = await server.queues(dry_run=True)

    await works()

    (part,) = await parts_of(ingestion)
    row, kept = await the(documents.Ingestion, ingestion), await everything_kept()
    assert row["status"] == "SUCCEEDED"
    assert part["counts"] == COUNTS | {"jobs": 1, "metrics": 1, "rejected": 1}
    assert [one["code"] for one in kept["rejections"]] == ["MALFORMED_ROW"]
    assert (kept["jobs"], kept["usage"], kept["generations"]) == ([], [], [])


async def test_a_reprocessing_builds_a_generation_beside_the_active_one_with_equal_content() -> None:
    server = await Server.new()
    await server.sends(jobs(*range(1, 20)))
    await server.sends(jobs(*range(10, 30), state="error"))
    await server.queues()
    await works()
    before = await server.generation()

    first, second = await server.reprocesses(), await server.reprocesses(activate=True)
    await works()

    one, other = [(await the(documents.Ingestion, id))["generationRef"] for id in (first, second)]
    assert (await the(documents.Generation, one))["status"] == "READY"
    assert (await the(documents.Generation, before["_id"]))["status"] == "RETIRED"
    assert (await server.generation())["_id"] == other
    hashes = {(await the(documents.Generation, id))["content_hash"] for id in (before["_id"], one, other)}
    assert len(hashes) == 1
    assert hashes != {str(RowsDigest())}


async def test_a_reprocessing_of_which_nothing_can_be_taken_is_discarded() -> None:
    server = await Server.new()
    await server.sends(b"no archive at all")

    ingestion = await server.reprocesses(activate=True)
    await works()

    row = await the(documents.Ingestion, ingestion)
    generation = await the(documents.Generation, row["generationRef"])
    assert (row["status"], generation["status"], generation["emptied"]) == ("FAILED", "DISCARDED", True)
    assert (await server.row())["activeGenerationRef"] is None


async def test_what_another_parser_makes_is_left_to_workers_of_that_release() -> None:
    server = await Server.new()
    await server.sends(jobs(1))
    ingestion = await server.queues()

    await works(parser="another")

    (part,) = await parts_of(ingestion)
    assert (part["status"], part["attempt"] - part["handed_back"]) == ("READY", 0)


async def test_a_worker_that_waits_takes_what_is_queued_when_it_looks_next(monkeypatch: pytest.MonkeyPatch) -> None:
    server, stop, queued, look = await Server.new(), asyncio.Event(), asyncio.Event(), PartClaimer.next
    looks: list[tuple[bool, bool]] = []

    async def watched(claimer: PartClaimer) -> ClaimedPart | None:
        after = queued.is_set()
        held = await look(claimer)
        looks.append((after, held is not None))
        return held

    monkeypatch.setattr(PartClaimer, "next", watched)
    worker = asyncio.create_task(ingest(stop, name="waiting", poll=0.1))
    await until_awaited(partial(_is_true, lambda: len(looks) >= 2))
    assert looks == [(False, False)] * len(looks)
    await server.sends(jobs(1))
    ingestion = await server.queues()
    queued.set()

    async def has_succeeded() -> bool:
        return bool((await the(documents.Ingestion, ingestion))["status"] == "SUCCEEDED")

    await until_awaited(has_succeeded)
    stop.set()
    await asyncio.wait_for(worker, within())
    # Or already by a look that began while it was being queued.
    first = [after for after, _ in [*looks, (True, False)]].index(True)
    assert any(found for _, found in looks[: first + 1])


async def _is_true(true: Callable[[], bool]) -> bool:
    return true()


async def test_with_once_a_worker_takes_one_archive() -> None:
    server = await Server.new()
    await server.sends(jobs(1))
    await server.sends(jobs(2))
    ingestion = await server.queues()

    await works(once=True)

    assert [part["status"] for part in await parts_of(ingestion)] == ["SUCCEEDED", "READY"]
    row = await the(documents.Ingestion, ingestion)
    assert (row["status"], row["end_timestamp"]) == ("RUNNING", None)


async def test_a_parser_fix_changes_one_field_in_a_new_generation_and_nothing_else() -> None:
    server = await Server.new()
    await server.sends(jobs(*range(1, 30), tool="cat1"))
    await server.queues()
    await works()
    before = await server.contents()

    await server.reprocesses(activate=True)
    await works(read=reading_capitals)

    after = await server.contents()
    assert {row["tool_id"] for row in after.rows.values()} == {"CAT1"}
    assert after.content_hash != before.content_hash
    assert [_without(row) for row in after.rows.values()] == [_without(row) for row in before.rows.values()]


@asynccontextmanager
async def reading_capitals(archive: IO[bytes], **options: Any) -> AsyncIterator[AsyncIterator[Batch]]:
    """A parser that was mended: it writes the names of tools in capitals."""

    async def mended(batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
        digest = RowsDigest()
        async for batch in batches:
            rows = [decode(row) for row in batch.rows]
            for row in rows:
                row["tool_id"] = row["tool_id"].upper()
                row["digest"] = row_digest(encode(_without(row)) + row["tool_id"].encode())
            digest.add(row["digest"] for row in rows)
            batch.rows = [encode(row) for row in rows]
            for cell in batch.cells:
                cell.tool_id = cell.tool_id.upper()
            if batch.summary is not None:
                batch.summary.digest = str(digest)
            yield batch

    async with read_here(archive, **options) as batches:
        yield mended(batches)


def _without(row: Row) -> Row:
    return {name: row[name] for name in row if name not in ("tool_id", "digest", "_id")}
