"""The loop of an ingest worker, which ingests one archive after the other until it is stopped."""

import asyncio
import random
from collections.abc import Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog
from pymongo.errors import PyMongoError

from documents.outage import outage_of
from resolvers.activities.state_machine import LEASE_LAPSED, activity_error
from resolvers.concurrency.task_cancellation import is_cancelled
from resolvers.galaxy.ingest.cleanup import allow_cleanup, remove_orphaned_rows
from resolvers.galaxy.ingest.part_claim import PartClaimer
from resolvers.galaxy.ingest.part_lease import (
    LEASE_TTL,
    RENEWALS_PER_LEASE,
    ClaimedPart,
    LeaseLost,
    abandon,
    extend_lease,
    release,
)
from resolvers.galaxy.ingest.process_archive import ArchiveIngestion, ReportParser
from resolvers.galaxy.report import PARSER_VERSION
from resolvers.galaxy.report.sandbox.run_sandbox import ParserFailed, read_in_subprocess
from resolvers.outage_log import count_outage

POLL_INTERVAL = 1.0
"""Seconds between polls when nothing waits, give or take a fifth."""
RETRY_DELAY = timedelta(seconds=5)
"""Delay before the next attempt, after a failed one."""
RELEASE_TIMEOUT = 3.0
READER_FAILED = "READER_FAILED"

log = structlog.stdlib.get_logger("resolvers.ingest")


async def ingest(
    stop: asyncio.Event,
    *,
    name: str,
    once: bool = False,
    until_idle: bool = False,
    poll: float = POLL_INTERVAL,
    lease: timedelta = LEASE_TTL,
    read: ReportParser = read_in_subprocess,
    parser: str = PARSER_VERSION,
) -> None:
    """Ingest archives until `stop` is set, with `until_idle` until none waits, or with `once` at most one.

    A part under way when `stop` is set is released. Raises PyMongoError only when nothing could be done at all.
    """
    worker = Worker(name, lease, read, parser)
    work = asyncio.create_task(worker.run(once=once, until_idle=until_idle, poll=poll))
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        if not work.done():
            work.cancel()
        with suppress(asyncio.CancelledError):
            await work


class Worker:
    """Ingests archives, one at a time."""

    def __init__(self, name: str, lease: timedelta, read: ReportParser, parser: str) -> None:
        self._name, self._lease, self._read = name, lease, read
        self._part_claimer = PartClaimer(name, lease, parser)

    async def run(self, *, once: bool, until_idle: bool, poll: float) -> None:
        """Work until nothing waits, or for ever."""
        while not is_cancelled():
            try:
                busy = await self._next()
            except PyMongoError as error:
                # Leases expire, and the parts are claimed again.
                count_outage("the database failed", error)
                busy = False
                if until_idle or once:
                    raise
            if once or (until_idle and not busy):
                return
            if not busy and not is_cancelled():
                await asyncio.sleep(poll * random.uniform(0.8, 1.2))

    async def _next(self) -> bool:
        """Do the next piece of work; returns whether there was any."""
        if await remove_orphaned_rows(self._name, self._lease):
            return True
        return await self._work_on_claimed(self._part_claimer.next())

    async def _unblock(self, part_id: str) -> bool:
        """Work on a part that others wait for, if its worker is lost; returns whether it was."""
        return await self._work_on_claimed(self._part_claimer.take_over_if_lost(part_id))

    async def _work_on_claimed(self, claiming: Coroutine[Any, Any, ClaimedPart | None]) -> bool:
        """Ingest the archive that a call claims, if there is one; returns whether there is.

        A claim that is on its way when this is cancelled is completed and released: its lease would have to expire.
        """
        task = asyncio.create_task(claiming)
        try:
            claim = await asyncio.shield(task)
        except asyncio.CancelledError:
            async with asyncio.timeout(RELEASE_TIMEOUT):
                late = await task
                if late is not None:
                    await _hand_back(late)
            raise
        if claim is not None:
            await self._work_on(claim)
        return claim is not None

    async def _work_on(self, claim: ClaimedPart) -> None:
        """Ingest an archive. Failures are logged, and retried later."""
        log.info("ingesting an archive", archive=claim.archive, attempt=claim.part["attempt"])
        try:
            await self._ingest_under_lease(claim)
        except LeaseLost as lost:
            log.warning("lost the lease of an archive", reason=str(lost))
            if claim.has_no_pending_writes:
                await allow_cleanup(claim)
        except asyncio.CancelledError:
            async with asyncio.timeout(RELEASE_TIMEOUT):
                await _hand_back(claim)
            raise
        except PyMongoError as error:
            await self._handle_database_error(claim, error)
            raise
        except ParserFailed as error:
            await self._abandon(claim, activity_error(READER_FAILED, str(error).strip().splitlines()[-1]))
        except Exception as error:
            log.exception("an attempt failed", archive=claim.archive)
            await self._abandon(claim, activity_error(LEASE_LAPSED, f"The attempt failed with {type(error).__name__}."))

    async def _handle_database_error(self, claim: ClaimedPart, error: PyMongoError) -> None:
        """Let the part be tried again; the attempt counts unless the database was merely unreachable."""
        with suppress(PyMongoError):
            if outage_of(error):
                await release(claim)
            else:
                await self._abandon(
                    claim, activity_error(LEASE_LAPSED, f"The database failed with {type(error).__name__}.")
                )

    async def _abandon(self, claim: ClaimedPart, error: dict[str, object]) -> None:
        log.error("an attempt failed", archive=claim.archive, reason=error["message"])
        await abandon(claim, error, min(RETRY_DELAY, claim.lease))

    async def _ingest_under_lease(self, claim: ClaimedPart) -> None:
        """Ingest an archive while its lease is extended. Raises LeaseLost."""
        work = asyncio.create_task(ArchiveIngestion(claim, self._read, self._unblock).run())
        renewal = asyncio.create_task(_extend_regularly(claim))
        try:
            await asyncio.wait({work, renewal}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await renewal
            await work
        finally:
            for task in (work, renewal):
                task.cancel()
            await asyncio.gather(work, renewal, return_exceptions=True)
            await claim.session.end_session()


async def _hand_back(claim: ClaimedPart) -> None:
    """Release a part whose attempt does not count."""
    if await release(claim):
        log.info("an archive was handed back", archive=claim.archive)


async def _extend_regularly(claim: ClaimedPart) -> None:
    """Extend the lease and report progress, until the part is about to end. Raises LeaseLost."""
    while not is_cancelled():
        await asyncio.sleep(claim.lease.total_seconds() / RENEWALS_PER_LEASE)
        try:
            await extend_lease(claim)
        except LeaseLost:
            if claim.is_ending:
                # This worker itself ended the part between two extensions; the task at work handles that.
                return
            raise
        except PyMongoError as error:
            # The next extension may be in time. If not, the lease expires, and the task at work notices that.
            log.warning("a lease could not be extended", error=type(error).__name__)
        if claim.done:
            log.info("reading an archive", archive=claim.archive, jobs=claim.done, declared=claim.part["declared"])
