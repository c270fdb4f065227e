"""Ends of parts, and of the ingestions that they belong to: each in one transaction."""

from dataclasses import dataclass, field
from typing import Any

import documents
from documents.activities.activity import ActivityStatus
from documents.activities.log_entry import LogLevel
from documents.base import now
from documents.galaxy.generation import GenerationStatus
from documents.galaxy.ingestion import IngestionKind
from documents.mongo.transaction import Session, in_transaction
from resolvers.activities.state_machine import LEASE_LAPSED, MOST_ATTEMPTS, Move, activity_error, lapsed, move, tries
from resolvers.filters import Filter
from resolvers.galaxy import generation as generations
from resolvers.galaxy.discard import UNENDED, discard
from resolvers.galaxy.ingest.part_lease import Held, Lost
from resolvers.galaxy.ingestion_log import say
from resolvers.galaxy.report.digest import RowsDigest
from resolvers.galaxy.report.read_report import Summary
from resolvers.galaxy.report.usage.cells import Cell
from resolvers.galaxy.statistics.aggregates import add_usage
from resolvers.reads.rows import Row, collection_of

NOTHING_TAKEN = "None of its archives could be ingested."


@dataclass
class Ended:
    """The result of a part: what is in its archive, and what it adds to its generation."""

    summary: Summary
    duplicates: int = 0
    jobs: int = 0
    digest: RowsDigest = field(default_factory=RowsDigest)
    cells: list[Cell] = field(default_factory=list)


async def succeed(held: Held, archive: Row, ended: Ended) -> None:
    """End a part whose archive was read: add the rest of it to its generation, if it has one. Raises Lost."""

    values = {"folding": False, "counts": _counts(ended), "done": ended.summary.jobs}

    async def work(session: Session) -> None:
        ingestion = await say(held.part["ingestionRef"], LogLevel.INFO, _taken(archive, ended), session)
        await _end(held.match, Move.SUCCEED, values, session)
        if held.part["generationRef"] is not None:
            await _add_to_generation(held, ended, session)
        await _settle(ingestion, session)

    held.check()
    await in_transaction(work, held.session)


async def refuse(held: Held, archive: Row, error: dict[str, Any], summary: Summary) -> None:
    """End a part whose archive cannot be read, and have its rows removed. Raises Lost."""
    values = {"error": error, "counts": _counts(Ended(summary))} | _given_up(held.part)
    line = f"Report {archive['identifier']} was refused: {error['message']}"

    async def work(session: Session) -> None:
        ingestion = await say(held.part["ingestionRef"], LogLevel.ERROR, line, session)
        await _end(held.match, Move.FAIL, values, session)
        await _settle(ingestion, session)

    await in_transaction(work, held.session)


async def give_up(part: Row) -> None:
    """End a part whose lease has lapsed for the last time, unless another worker has it."""
    silent = f"Attempt {tries(part)} of {MOST_ATTEMPTS}: its worker was silent for longer than its lease."
    error = part.get("error") or activity_error(LEASE_LAPSED, silent)
    match = {"_id": part["_id"], "attempt": part["attempt"], "folding": False} | lapsed(now())
    line = f"{part['archiveRef']} was abandoned. {error['message']}"

    async def work(session: Session) -> None:
        ingestion = await say(part["ingestionRef"], LogLevel.ERROR, line, session)
        await _end(match, Move.FAIL, {"error": error} | _given_up(part), session)
        await _settle(ingestion, session)

    await in_transaction(work)


def _given_up(part: Row) -> dict[str, Any]:
    """The fields of a failed part, which adds nothing to its generation. Its rows may be removed at once."""
    return {"holds": False, "leftovers": part["generationRef"] is not None}


def _counts(ended: Ended) -> dict[str, int]:
    counted = ("jobs", "metrics", "datasets", "parameters", "rejected")
    return {name: getattr(ended.summary, name) for name in counted} | {"duplicates": ended.duplicates}


def _taken(archive: Row, ended: Ended) -> str:
    summary = ended.summary
    duplicates = f" ({ended.duplicates:,} of them in other reports too)" if ended.duplicates else ""
    return (
        f"Report {archive['identifier']} was ingested: {_number_of(summary.jobs, 'job')}{duplicates}, "
        f"{_number_of(summary.metrics, 'metric')}, {_number_of(summary.datasets, 'dataset')}, "
        f"{_number_of(summary.parameters, 'parameter')}; {_number_of(summary.rejected, 'row')} rejected."
    )


def _number_of(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


async def _end(match: Filter, step: Move, values: dict[str, Any], session: Session) -> None:
    ended = await move(documents.IngestionPart, step, match, values, now(), session)
    if ended is None:
        raise Lost("The part was cancelled, or another worker has it.")


async def _add_to_generation(held: Held, ended: Ended, session: Session) -> None:
    mine = {"_id": held.generation, "folding": held.id}
    row = await collection_of(documents.Generation).find_one(mine, session=session)
    if row is None:
        raise Lost(f"{held.id} does not hold the merge lock of {held.generation}.")
    digest = RowsDigest(row["content_hash"] or "0")
    digest.merge(ended.digest)
    await add_usage(held.generation, ended.cells, session)
    change = {"$set": {"folding": None, "content_hash": str(digest)}, "$inc": {"archives": 1, "jobs": ended.jobs}}
    await collection_of(documents.Generation).update_one(mine, change, session=session)


async def _settle(ingestion: Row | None, session: Session) -> None:
    """End an ingestion if the last of its parts has ended.

    The ingestion was written to first in this transaction: of two that end the last two parts one retries and sees the
    other, and neither has done anything yet while others report progress to the ingestion.
    """
    if ingestion is None:
        return
    of_it = {"ingestionRef": ingestion["_id"]}
    parts = collection_of(documents.IngestionPart)
    if await parts.find_one(of_it | UNENDED, {"_id": 1}, session=session):
        return
    taken = await parts.find_one(of_it | {"status": ActivityStatus.SUCCEEDED.value}, {"_id": 1}, session=session)
    refused = await parts.find_one(of_it | {"status": ActivityStatus.FAILED.value}, sort=[("_id", 1)], session=session)
    error = await _first_error(refused, session) if refused and not taken else None
    step, values = (Move.FAIL, {"error": error}) if error else (Move.SUCCEED, {})
    if await move(documents.Ingestion, step, {"_id": ingestion["_id"]}, values, now(), session) is None:
        return
    await say(ingestion["_id"], LogLevel.INFO if error is None else LogLevel.ERROR, _end_line(error), session)
    if ingestion["kind"] == IngestionKind.REPROCESS and ingestion["generationRef"] is not None:
        await _built(ingestion["generationRef"], error is None, session)


async def _first_error(refused: Row, session: Session) -> dict[str, Any]:
    archive = await collection_of(documents.Archive).find_one({"_id": refused["archiveRef"]}, session=session)
    name = archive["identifier"] if archive else refused["archiveRef"]
    error: dict[str, Any] = refused["error"]
    return error | {"message": f"Report {name}: {error['message']}"}


def _end_line(error: dict[str, Any] | None) -> str:
    return "All archives have been processed." if error is None else NOTHING_TAKEN


async def _built(generation_id: str, taken: bool, session: Session) -> None:
    """Finish a generation that has all its archives: switch to it if requested, or discard it when it is empty."""
    building = {"_id": generation_id, "status": GenerationStatus.BUILDING.value}
    ready = {"$set": {"status": GenerationStatus.READY.value}}
    row = await collection_of(documents.Generation).find_one_and_update(
        building, ready, return_document=True, session=session
    )
    if row is None:
        return
    if not taken:
        await discard(row, NOTHING_TAKEN, session)
    elif row["activate"]:
        await generations.activate(row, session)
