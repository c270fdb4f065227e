"""Ends of parts, and of the ingestion that they belong to: each in one transaction."""

from dataclasses import dataclass, field
from typing import Any

import documents
from documents.activity import ActivityStatus
from documents.base import now
from documents.database import in_transaction
from documents.generation import GenerationStatus
from documents.ingestion import IngestionKind
from documents.log_entry import LogLevel
from resolvers import generation as generations
from resolvers.discarding import UNENDED, discard
from resolvers.fetch import Row, collection_of
from resolvers.filters import Filter
from resolvers.ingest.ingestion.lines import say
from resolvers.ingest.ingestion.parts import Held, Lost
from resolvers.ingest.report.cells import Cell
from resolvers.ingest.report.digest import RowsDigest
from resolvers.ingest.report.reader import Summary
from resolvers.runs import LEASE_LAPSED, MOST_ATTEMPTS, Move, an_error, lapsed, move, tries
from resolvers.usage_totals import add_usage
from resolvers.writing import Session

NOTHING_TAKEN = "None of its archives could be taken."


@dataclass
class Ended:
    """What became of an archive: what is in it, and what it adds to its generation."""

    summary: Summary
    duplicates: int = 0
    jobs: int = 0
    digest: RowsDigest = field(default_factory=RowsDigest)
    cells: list[Cell] = field(default_factory=list)


async def succeed(held: Held, archive: Row, ended: Ended) -> None:
    """The archive is taken: add the rest of it to its generation, if it has one, and end its part. Raises Lost."""

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
    """The archive cannot be taken: end its part, and have what was written of it removed. Raises Lost."""
    values = {"error": error, "counts": _counts(Ended(summary))} | _given_up(held.part)
    line = f"Report {archive['identifier']} was refused: {error['message']}"

    async def work(session: Session) -> None:
        ingestion = await say(held.part["ingestionRef"], LogLevel.ERROR, line, session)
        await _end(held.match, Move.FAIL, values, session)
        await _settle(ingestion, session)

    await in_transaction(work, held.session)


async def give_up(part: Row) -> None:
    """End a part whose lease has lapsed for the last time, unless somebody else has it."""
    silent = f"Attempt {tries(part)} of {MOST_ATTEMPTS}: its worker was silent for longer than its lease."
    error = part.get("error") or an_error(LEASE_LAPSED, silent)
    match = {"_id": part["_id"], "attempt": part["attempt"], "folding": False} | lapsed(now())
    line = f"{part['archiveRef']} was given up. {error['message']}"

    async def work(session: Session) -> None:
        ingestion = await say(part["ingestionRef"], LogLevel.ERROR, line, session)
        await _end(match, Move.FAIL, {"error": error} | _given_up(part), session)
        await _settle(ingestion, session)

    await in_transaction(work)


def _given_up(part: Row) -> dict[str, Any]:
    """What is said of a part that leaves nothing in its generation. Its rows may be removed at once."""
    return {"holds": False, "leftovers": part["generationRef"] is not None}


def _counts(ended: Ended) -> dict[str, int]:
    counted = ("jobs", "metrics", "datasets", "parameters", "rejected")
    return {name: getattr(ended.summary, name) for name in counted} | {"duplicates": ended.duplicates}


def _taken(archive: Row, ended: Ended) -> str:
    summary = ended.summary
    duplicates = f", {ended.duplicates:,} of them told of before" if ended.duplicates else ""
    return (
        f"Report {archive['identifier']} was taken: {summary.jobs:,} jobs{duplicates}, {summary.metrics:,} metrics, "
        f"{summary.datasets:,} datasets, {summary.parameters:,} parameters; {summary.rejected:,} rows rejected."
    )


async def _end(match: Filter, step: Move, values: dict[str, Any], session: Session) -> None:
    ended = await move(documents.IngestionPart, step, match, values, now(), session)
    if ended is None:
        raise Lost("The part was cancelled, or another worker has it.")


async def _add_to_generation(held: Held, ended: Ended, session: Session) -> None:
    mine = {"_id": held.generation, "folding": held.id}
    row = await collection_of(documents.Generation).find_one(mine, session=session)
    if row is None:
        raise Lost(f"{held.id} does not have {held.generation} to itself.")
    digest = RowsDigest(row["content_hash"] or "0")
    digest.merge(ended.digest)
    await add_usage(held.generation, ended.cells, session)
    change = {"$set": {"folding": None, "content_hash": str(digest)}, "$inc": {"archives": 1, "jobs": ended.jobs}}
    await collection_of(documents.Generation).update_one(mine, change, session=session)


async def _settle(ingestion: Row | None, session: Session) -> None:
    """End an ingestion if the last of its parts has ended.

    It was written to first in this transaction: of two that end the last two parts one begins again and sees the other,
    and neither has done anything yet when others tell the ingestion how far they are.
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
    return "All archives have been looked at." if error is None else NOTHING_TAKEN


async def _built(generation_id: str, taken: bool, session: Session) -> None:
    """A generation has all that there is for it: switch to it if that is wanted, and give it up when it is nothing."""
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
