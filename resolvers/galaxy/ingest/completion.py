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
from resolvers.activities.lease import expired_lease_filter
from resolvers.activities.state_machine import (
    LEASE_LAPSED,
    Transition,
    activity_error,
    apply_transition,
    counted_attempts,
)
from resolvers.filters import Filter
from resolvers.galaxy import generation as generations
from resolvers.galaxy.discard import UNFINISHED, discard_with_ingestions
from resolvers.galaxy.ingest.part_lease import ClaimedPart, LeaseLost
from resolvers.galaxy.ingestion_log import append_ingestion_line
from resolvers.galaxy.report.digest import RowsDigest
from resolvers.galaxy.report.read_report import Summary
from resolvers.galaxy.report.usage.cells import Cell
from resolvers.galaxy.statistics.aggregates import add_usage
from resolvers.limits import MAX_ATTEMPTS
from resolvers.reads.rows import Row, collection_of

NOTHING_INGESTED = "None of its archives could be ingested."


@dataclass
class PartResult:
    """The result of a part: what is in its archive, and what it adds to its generation."""

    summary: Summary
    duplicates: int = 0
    jobs: int = 0
    digest: RowsDigest = field(default_factory=RowsDigest)
    cells: list[Cell] = field(default_factory=list)


async def complete_part(claim: ClaimedPart, archive: Row, result: PartResult) -> None:
    """End a part whose archive was read: add the rest of it to its generation, if it has one. Raises LeaseLost."""
    values = {"folding": False, "counts": _counts(result), "done": result.summary.jobs}

    async def work(session: Session) -> None:
        ingestion = await append_ingestion_line(
            claim.part["ingestionRef"], LogLevel.INFO, _success_line(archive, result), session
        )
        await _end_part(claim.match, Transition.SUCCEED, values, session)
        if claim.part["generationRef"] is not None:
            await _add_to_generation(claim, result, session)
        await _end_ingestion_if_done(ingestion, session)

    claim.check()
    await in_transaction(work, claim.session)


async def refuse_part(claim: ClaimedPart, archive: Row, error: dict[str, Any], summary: Summary) -> None:
    """End a part whose archive cannot be read, and have its rows removed. Raises LeaseLost."""
    values = {"error": error, "counts": _counts(PartResult(summary))} | _failure_fields(claim.part)
    line = f"Report {archive['identifier']} was refused: {error['message']}"

    async def work(session: Session) -> None:
        ingestion = await append_ingestion_line(claim.part["ingestionRef"], LogLevel.ERROR, line, session)
        await _end_part(claim.match, Transition.FAIL, values, session)
        await _end_ingestion_if_done(ingestion, session)

    await in_transaction(work, claim.session)


async def fail_exhausted_part(part: Row) -> None:
    """End a part whose lease has expired for the last time, unless another worker has it."""
    silent = f"Attempt {counted_attempts(part)} of {MAX_ATTEMPTS}: its worker was silent for longer than its lease."
    error = part.get("error") or activity_error(LEASE_LAPSED, silent)
    match = {"_id": part["_id"], "attempt": part["attempt"], "folding": False} | expired_lease_filter(now())
    line = f"{part['archiveRef']} was abandoned. {error['message']}"

    async def work(session: Session) -> None:
        ingestion = await append_ingestion_line(part["ingestionRef"], LogLevel.ERROR, line, session)
        await _end_part(match, Transition.FAIL, {"error": error} | _failure_fields(part), session)
        await _end_ingestion_if_done(ingestion, session)

    await in_transaction(work)


def _failure_fields(part: Row) -> dict[str, Any]:
    """The fields of a failed part, which adds nothing to its generation. Its rows may be removed at once."""
    return {"holds": False, "leftovers": part["generationRef"] is not None}


def _counts(result: PartResult) -> dict[str, int]:
    names = ("jobs", "metrics", "datasets", "parameters", "rejected")
    return {name: getattr(result.summary, name) for name in names} | {"duplicates": result.duplicates}


def _success_line(archive: Row, result: PartResult) -> str:
    summary = result.summary
    duplicates = f" ({result.duplicates:,} of them in other reports too)" if result.duplicates else ""
    return (
        f"Report {archive['identifier']} was ingested: {_quantity(summary.jobs, 'job')}{duplicates}, "
        f"{_quantity(summary.metrics, 'metric')}, {_quantity(summary.datasets, 'dataset')}, "
        f"{_quantity(summary.parameters, 'parameter')}; {_quantity(summary.rejected, 'row')} rejected."
    )


def _quantity(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


async def _end_part(match: Filter, step: Transition, values: dict[str, Any], session: Session) -> None:
    if await apply_transition(documents.IngestionPart, step, match, values, now(), session) is None:
        raise LeaseLost("The part was cancelled, or another worker has it.")


async def _add_to_generation(claim: ClaimedPart, result: PartResult, session: Session) -> None:
    locked = {"_id": claim.generation, "folding": claim.id}
    row = await collection_of(documents.Generation).find_one(locked, session=session)
    if row is None:
        raise LeaseLost(f"{claim.id} does not hold the merge lock of {claim.generation}.")
    digest = RowsDigest(row["content_hash"] or "0")
    digest.merge(result.digest)
    await add_usage(claim.generation, result.cells, session)
    change = {"$set": {"folding": None, "content_hash": str(digest)}, "$inc": {"archives": 1, "jobs": result.jobs}}
    await collection_of(documents.Generation).update_one(locked, change, session=session)


async def _end_ingestion_if_done(ingestion: Row | None, session: Session) -> None:
    """End an ingestion if the last of its parts has ended.

    This transaction wrote to the ingestion first: of two transactions that end the last two parts, one conflicts,
    retries and sees the other; and neither has written anything else while workers report progress to the ingestion.
    """
    if ingestion is None:
        return
    match = {"ingestionRef": ingestion["_id"]}
    parts = collection_of(documents.IngestionPart)
    if await parts.find_one(match | UNFINISHED, {"_id": 1}, session=session):
        return
    success = await parts.find_one(match | {"status": ActivityStatus.SUCCEEDED.value}, {"_id": 1}, session=session)
    failure = await parts.find_one(match | {"status": ActivityStatus.FAILED.value}, sort=[("_id", 1)], session=session)
    error = await _first_error(failure, session) if failure and not success else None
    step, values = (Transition.FAIL, {"error": error}) if error else (Transition.SUCCEED, {})
    if await apply_transition(documents.Ingestion, step, {"_id": ingestion["_id"]}, values, now(), session) is None:
        return
    level, line = (LogLevel.ERROR, NOTHING_INGESTED) if error else (LogLevel.INFO, "All archives have been processed.")
    await append_ingestion_line(ingestion["_id"], level, line, session)
    if ingestion["kind"] == IngestionKind.REPROCESS and ingestion["generationRef"] is not None:
        await _complete_generation(ingestion["generationRef"], session, is_empty=error is not None)


async def _first_error(failed_part: Row, session: Session) -> dict[str, Any]:
    archive = await collection_of(documents.Archive).find_one({"_id": failed_part["archiveRef"]}, session=session)
    name = archive["identifier"] if archive else failed_part["archiveRef"]
    error: dict[str, Any] = failed_part["error"]
    return error | {"message": f"Report {name}: {error['message']}"}


async def _complete_generation(generation_id: str, session: Session, *, is_empty: bool) -> None:
    """Finish a generation that has all its archives: switch to it if requested, or discard it when it is empty."""
    building = {"_id": generation_id, "status": GenerationStatus.BUILDING.value}
    ready = {"$set": {"status": GenerationStatus.READY.value}}
    row = await collection_of(documents.Generation).find_one_and_update(
        building, ready, return_document=True, session=session
    )
    if row is None:
        return
    if is_empty:
        await discard_with_ingestions(row, NOTHING_INGESTED, session)
    elif row["activate"]:
        await generations.activate(row, session)
