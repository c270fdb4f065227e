"""Transactions are repeated while that can help, and called off in time."""

import asyncio
import time
from types import SimpleNamespace

import pymongo
import pytest
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import OperationFailure, PyMongoError, ServerSelectionTimeoutError

from documents.mongo import transaction
from documents.mongo.database import Client, Database
from documents.mongo.transaction import TRANSACTION_TIMEOUT, Session, in_transaction
from documents.outage import outage_of
from tests.support.patience import within

DEADLINE = 1.0
RAISE = {"$inc": {"number": 1}}


@pytest.fixture(autouse=True)
async def row(database: Database) -> None:
    await database.things.insert_one({"_id": "a", "number": 0})


async def test_who_met_somebody_elses_write_writes_after_them(database: Database) -> None:
    async def raise_it(session: Session) -> None:
        await database.things.update_one({"_id": "a"}, RAISE, session=session)
        await asyncio.sleep(0.02)

    await asyncio.gather(*(in_transaction(raise_it) for _ in range(5)))

    assert await database.things.distinct("number") == [5]


async def test_a_transaction_whose_time_is_over_ends_soon_and_is_in_nobodys_way(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine the call itself may take longer than is given to it by then.
    monkeypatch.setattr("documents.mongo.transaction.ABORT_TIMEOUT", within(10))

    async def too_slow(session: Session) -> None:
        await database.things.update_one({"_id": "a"}, RAISE, session=session)
        await asyncio.sleep(DEADLINE)
        await database.things.update_one({"_id": "a"}, RAISE, session=session)

    began = time.monotonic()
    with pytest.raises(PyMongoError) as raised, pymongo.timeout(DEADLINE):
        await in_transaction(too_slow)
    took = time.monotonic() - began
    # MongoDB itself keeps what was begun for a minute, in which this would meet it.
    with pymongo.timeout(30):
        await database.things.update_one({"_id": "a"}, {"$inc": {"number": 10}})

    assert outage_of(raised.value)
    assert took < TRANSACTION_TIMEOUT
    assert await database.things.distinct("number") == [10]


async def test_a_conflict_that_lasts_ends_with_the_time_that_there_is(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts, paused = 0, 0.0

    async def pause(seconds: float) -> None:
        nonlocal paused
        paused += seconds

    # No time passes but in the pauses.
    monkeypatch.setattr(transaction, "remaining_timeout", lambda: max(0.0, DEADLINE - paused))
    monkeypatch.setattr(transaction, "asyncio", SimpleNamespace(**vars(asyncio) | {"sleep": pause}))

    async def conflicting(session: Session) -> None:
        nonlocal attempts
        attempts += 1
        raise OperationFailure("conflict", 112, {"errorLabels": ["TransientTransactionError"]})

    with pytest.raises(OperationFailure, match="conflict"):
        await in_transaction(conflicting)

    assert paused >= DEADLINE
    # The pauses grow, so that the database is not asked without end.
    assert 2 < attempts < 60


async def test_without_a_primary_nothing_is_tried_twice(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = 0

    async def lost(session: Session) -> None:
        nonlocal attempts
        attempts += 1
        error = ServerSelectionTimeoutError("no primary")
        error._add_error_label("TransientTransactionError")
        raise error

    with pytest.raises(ServerSelectionTimeoutError), pymongo.timeout(within()):
        await in_transaction(lost)

    assert attempts == 1


async def test_a_commit_that_finds_no_primary_is_not_tried_without_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = 0

    async def commit(session: Session) -> None:
        nonlocal attempts
        attempts += 1
        error = ServerSelectionTimeoutError("no primary")
        error._add_error_label("UnknownTransactionCommitResult")
        raise error

    async def work(session: Session) -> None:
        await database.things.update_one({"_id": "a"}, RAISE, session=session)

    with monkeypatch.context() as patch:
        patch.setattr(AsyncClientSession, "commit_transaction", commit)
        with pytest.raises(ServerSelectionTimeoutError), pymongo.timeout(within()):
            await in_transaction(work)

    assert attempts == 1
