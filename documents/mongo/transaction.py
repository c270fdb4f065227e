"""Transactions: all writes of some work are committed by a majority, or none of them.

The driver's own `with_transaction` retries for two minutes, without a pause where the database is away, and leaves the
transaction open at the request's deadline: the rows it wrote could then not be written for a minute.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import TypeVar

import pymongo
from pymongo import ReadPreference, WriteConcern
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError
from pymongo.read_concern import ReadConcern

from documents.backoff import backoff_delays
from documents.mongo.database import start_session
from documents.mongo.fast_find import remaining_timeout

T = TypeVar("T")
Session = AsyncClientSession
Work = Callable[[Session], Awaitable[T]]

TRANSACTION_TIMEOUT = 30.0
"""Seconds in which a transaction is repeated; MongoDB ends one that is open for 60."""
ABORT_TIMEOUT = 0.1
"""Seconds for aborting a transaction after its deadline."""
MIN_RETRY_DELAY, MAX_RETRY_DELAY = 0.005, 0.5
"""Seconds before the work is repeated."""
MAX_TIME_MS_EXPIRED = 50


async def in_transaction(work: Work[T], session: Session | None = None) -> T:
    """Run `work` and return its result once all its writes are committed by a majority. Transient failures run `work`
    again.

    The transaction runs in `session`, or in a session of its own. A cancelled caller waits for its end: the database
    would keep a transaction that was broken off while it began or committed, with locks on its rows, for a minute.
    """
    transaction = asyncio.create_task(_run(work, session))
    try:
        return await asyncio.shield(transaction)
    except asyncio.CancelledError:
        await asyncio.wait([transaction])
        raise


async def _run(work: Work[T], session: Session | None) -> T:
    with pymongo.timeout(TRANSACTION_TIMEOUT):
        if session is not None:
            return await _retry_until_committed(session, work)
        async with start_session() as own:
            return await _retry_until_committed(own, work)


async def _retry_until_committed(session: Session, work: Work[T]) -> T:
    delays = backoff_delays(MIN_RETRY_DELAY, MAX_RETRY_DELAY)
    while True:
        try:
            return await _attempt(session, work)
        except PyMongoError as error:
            if not _is_retryable(error, "TransientTransactionError"):
                raise
        # With jitter, so that callers that conflicted do not meet again.
        await asyncio.sleep(next(delays) * random.random())


async def _attempt(session: Session, work: Work[T]) -> T:
    # MongoDB refuses transactions with any other read preference, and the database's URL may set one for other reads.
    await session.start_transaction(ReadConcern("snapshot"), WriteConcern("majority"), ReadPreference.PRIMARY)
    try:
        outcome = await work(session)
    except BaseException:
        await _abort(session)
        raise
    await _commit(session)
    return outcome


async def _commit(session: Session) -> None:
    """Commit, and repeat while the outcome is unknown."""
    while True:
        try:
            return await session.commit_transaction()
        except PyMongoError as error:
            expired = getattr(error, "code", None) == MAX_TIME_MS_EXPIRED
            if expired or not _is_retryable(error, "UnknownTransactionCommitResult"):
                raise
        await asyncio.sleep(MIN_RETRY_DELAY)


async def _abort(session: Session) -> None:
    """Abort the transaction, even after the deadline of its caller."""
    if not session.in_transaction:
        return
    left = remaining_timeout()
    seconds = ABORT_TIMEOUT if left is None else max(ABORT_TIMEOUT, left)

    async def abort() -> None:
        with pymongo.timeout(seconds):
            await session.abort_transaction()

    # In a context of its own, which has its own deadline.
    await asyncio.get_running_loop().create_task(abort(), context=Context())


def _is_retryable(error: PyMongoError, label: str) -> bool:
    """Whether a retry may succeed in the time left; waiting for a primary has used all the time that it may take."""
    left = remaining_timeout()
    in_time = left is None or left > 0
    return in_time and error.has_error_label(label) and not isinstance(error, ServerSelectionTimeoutError)
