"""The ingest worker: it takes one archive after the other, until it is told to stop."""

import asyncio
import random
from contextlib import suppress
from datetime import timedelta

import structlog
from pymongo.errors import ConnectionFailure, PyMongoError

from resolvers.cancellation import cancelled
from resolvers.ingest.ingestion.claiming import Claimer
from resolvers.ingest.ingestion.parts import LEASE, RENEWALS, Held, Lost, extend, hand_back, let_lapse
from resolvers.ingest.ingestion.removing import release, remove_some
from resolvers.ingest.ingestion.taking import Read, Taking
from resolvers.ingest.report.apart import ReaderFailed, read_apart
from resolvers.ingest.report.version import PARSER_VERSION
from resolvers.runs import LEASE_LAPSED, an_error

POLL = 1.0
"""Seconds between looks when nothing waits, more or less a fifth."""
AGAIN_AFTER = timedelta(seconds=5)
"""Time until the next attempt, after one that went wrong."""
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
    """Take archives until `stop` is set, or with `until_idle` until none waits, or with `once` one of them at most.

    What is under way when `stop` is set is handed back. Raises PyMongoError only when nothing could be done at all.
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
    """Takes archives, one at a time."""

    def __init__(self, name: str, lease: timedelta, read: Read, parser: str) -> None:
        self._name, self._lease, self._read = name, lease, read
        self._claimer = Claimer(name, lease, parser)

    async def run(self, *, once: bool, until_idle: bool, poll: float) -> None:
        """Go on until nothing waits, or for ever."""
        while not cancelled():
            try:
                busy = await self._next()
            except PyMongoError as error:
                # What is held lapses, and is claimed again.
                log.warning("the database failed", error=type(error).__name__)
                busy = False
                if until_idle or once:
                    raise
            if once or (until_idle and not busy):
                return
            if not busy and not cancelled():
                await asyncio.sleep(poll * random.uniform(0.8, 1.2))

    async def _next(self) -> bool:
        """Whether there was something to do, and it is done."""
        if await remove_some(self._name, self._lease):
            return True
        held = await self._claimer.next()
        if held is not None:
            await self._work_on(held)
        return held is not None

    async def _work_on(self, held: Held) -> None:
        """Take an archive while its lease is extended. What goes wrong is told, and tried again later."""
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
            await self._gave_up(held, an_error(READER_FAILED, str(error).strip().splitlines()[-1]))
        except Exception as error:
            log.exception("an attempt failed", archive=held.archive)
            await self._gave_up(held, an_error(LEASE_LAPSED, f"The attempt failed with {type(error).__name__}."))

    async def _database_failed(self, held: Held, error: PyMongoError) -> None:
        """Let the part be tried again; the attempt counts only when it was not a matter of reaching the database."""
        passing = error.timeout or isinstance(error, ConnectionFailure)
        with suppress(PyMongoError):
            if passing or error.has_error_label("TransientTransactionError"):
                await hand_back(held)
            else:
                await self._gave_up(held, an_error(LEASE_LAPSED, f"The database refused: {type(error).__name__}."))

    async def _gave_up(self, held: Held, error: dict[str, object]) -> None:
        log.error("an attempt failed", archive=held.archive, why=error["message"])
        await let_lapse(held, error, min(AGAIN_AFTER, held.lease))

    async def _held(self, held: Held) -> None:
        """Take an archive, as long as its lease is kept. Raises Lost."""
        work = asyncio.create_task(Taking(held, self._read, self._unblock).run())
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
        """Whether a part that others wait for had lost its worker, and was worked on here."""
        held = await self._claimer.of_lost_worker(part_id)
        if held is not None:
            await self._work_on(held)
        return held is not None


async def _keep(held: Held) -> None:
    """Extend the lease, and tell how far it is, until the part is about to end. Raises Lost."""
    while not cancelled():
        await asyncio.sleep(held.lease.total_seconds() / RENEWALS)
        try:
            await extend(held)
        except Lost:
            if held.ending:
                # It ended between two looks, by this worker's own doing; the work knows better.
                return
            raise
        except PyMongoError as error:
            # The next time may be in time. If not, the lease lapses, and the work sees that it did.
            log.warning("a lease could not be extended", error=type(error).__name__)
        if held.done:
            log.info("reads", archive=held.archive, jobs=held.done, declared=held.part["declared"])
