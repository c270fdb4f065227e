"""The ingest worker: it ingests one archive after the other, until it is stopped."""

import asyncio
import random
from contextlib import suppress
from datetime import timedelta

import structlog
from pymongo.errors import PyMongoError

from documents.outage import outage_of
from resolvers.activities.state_machine import LEASE_LAPSED, activity_error
from resolvers.concurrency.task_cancellation import cancelled
from resolvers.galaxy.ingest.claim import Claimer
from resolvers.galaxy.ingest.cleanup import release, remove_some
from resolvers.galaxy.ingest.part_lease import LEASE, RENEWALS, Held, Lost, extend, hand_back, let_lapse
from resolvers.galaxy.ingest.process_archive import ArchiveIngestion, Read
from resolvers.galaxy.report import PARSER_VERSION
from resolvers.galaxy.report.sandbox.run_sandbox import ReaderFailed, read_apart
from resolvers.outage_log import count_outage

POLL = 1.0
"""Seconds between polls when nothing waits, give or take a fifth."""
AGAIN_AFTER = timedelta(seconds=5)
"""Delay before the next attempt, after a failed one."""
HANDED_BACK_WITHIN = 3.0
READER_FAILED = "READER_FAILED"

log = structlog.stdlib.get_logger("resolvers.ingest")


async def ingest(
    stop: asyncio.Event,
    *,
    name: str,
    once: bool = False,
    until_idle: bool = False,
    poll: float = POLL,
    lease: timedelta = LEASE,
    read: Read = read_apart,
    parser: str = PARSER_VERSION,
) -> None:
    """Ingest archives until `stop` is set, with `until_idle` until none waits, or with `once` at most one.

    A part under way when `stop` is set is handed back. Raises PyMongoError only when nothing could be done at all.
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

    def __init__(self, name: str, lease: timedelta, read: Read, parser: str) -> None:
        self._name, self._lease, self._read = name, lease, read
        self._claimer = Claimer(name, lease, parser)

    async def run(self, *, once: bool, until_idle: bool, poll: float) -> None:
        """Work until nothing waits, or for ever."""
        while not cancelled():
            try:
                busy = await self._next()
            except PyMongoError as error:
                # Held leases lapse, and the parts are claimed again.
                count_outage("the database failed", error)
                busy = False
                if until_idle or once:
                    raise
            if once or (until_idle and not busy):
                return
            if not busy and not cancelled():
                await asyncio.sleep(poll * random.uniform(0.8, 1.2))

    async def _next(self) -> bool:
        """Do the next piece of work; returns whether there was any."""
        if await remove_some(self._name, self._lease):
            return True
        held = await self._claimer.next()
        if held is not None:
            await self._work_on(held)
        return held is not None

    async def _work_on(self, held: Held) -> None:
        """Ingest an archive while its lease is extended. Failures are logged, and retried later."""
        log.info("takes an archive", archive=held.archive, attempt=held.part["attempt"])
        try:
            await self._held(held)
        except Lost as lost:
            log.warning("lost a part", why=str(lost))
            if held.quiet:
                await release(held)
        except asyncio.CancelledError:
            async with asyncio.timeout(HANDED_BACK_WITHIN):
                if await hand_back(held):
                    log.info("handed back", archive=held.archive)
            raise
        except PyMongoError as error:
            await self._database_failed(held, error)
            raise
        except ReaderFailed as error:
            await self._gave_up(held, activity_error(READER_FAILED, str(error).strip().splitlines()[-1]))
        except Exception as error:
            log.exception("an attempt failed", archive=held.archive)
            await self._gave_up(held, activity_error(LEASE_LAPSED, f"The attempt failed with {type(error).__name__}."))

    async def _database_failed(self, held: Held, error: PyMongoError) -> None:
        """Let the part be tried again; the attempt counts unless the database was merely unreachable."""
        with suppress(PyMongoError):
            if outage_of(error):
                await hand_back(held)
            else:
                await self._gave_up(
                    held, activity_error(LEASE_LAPSED, f"The database failed with {type(error).__name__}.")
                )

    async def _gave_up(self, held: Held, error: dict[str, object]) -> None:
        log.error("an attempt failed", archive=held.archive, why=error["message"])
        await let_lapse(held, error, min(AGAIN_AFTER, held.lease))

    async def _held(self, held: Held) -> None:
        """Ingest an archive, as long as its lease is kept. Raises Lost."""
        work = asyncio.create_task(ArchiveIngestion(held, self._read, self._unblock).run())
        keep = asyncio.create_task(_keep(held))
        try:
            await asyncio.wait({work, keep}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await keep
            await work
        finally:
            for task in (work, keep):
                task.cancel()
            await asyncio.gather(work, keep, return_exceptions=True)
            await held.session.end_session()

    async def _unblock(self, part_id: str) -> bool:
        """Work on a part that others wait for, if its worker is lost; returns whether it was."""
        held = await self._claimer.of_lost_worker(part_id)
        if held is not None:
            await self._work_on(held)
        return held is not None


async def _keep(held: Held) -> None:
    """Extend the lease and report progress, until the part is about to end. Raises Lost."""
    while not cancelled():
        await asyncio.sleep(held.lease.total_seconds() / RENEWALS)
        try:
            await extend(held)
        except Lost:
            if held.ending:
                # This worker itself ended the part between two extensions; the task at work handles that.
                return
            raise
        except PyMongoError as error:
            # The next extension may be in time. If not, the lease lapses, and the task at work notices that.
            log.warning("a lease could not be extended", error=type(error).__name__)
        if held.done:
            log.info("reads", archive=held.archive, jobs=held.done, declared=held.part["declared"])
