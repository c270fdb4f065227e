"""A transaction is made whole or not at all, also for who does not wait for it."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pymongo
import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo import pool as pooled
from documents.mongo.database import Database, make_client
from documents.mongo.transaction import ABORT_TIMEOUT, Session, in_transaction
from tests.support.patience import until_awaited

TIMEOUT = 30
"""Seconds. What a lost transaction wrote cannot be written for sixty."""


async def test_what_is_given_up_while_it_commits_can_be_written_at_once(
    mongod: EmbeddedMongo, database: Database
) -> None:
    await database.things.insert_one({"_id": "a", "number": 0})
    client = make_client(mongod.uri, maxPoolSize=1)
    await client.admin.command("ping")
    pool: Any = pooled._pool_of_primary(client)
    held = AsyncExitStack()

    async def work(session: Session) -> None:
        await client[database.name].things.update_one({"_id": "a"}, {"$inc": {"number": 1}}, session=session)
        # The only connection, for which the commit has to wait.
        await held.enter_async_context(pool.checkout())

    async def commits() -> bool:
        return pooled._has_waiters(pool)

    async with client, client.start_session() as session:
        given_up = asyncio.create_task(in_transaction(work, session))
        await until_awaited(commits)
        given_up.cancel()
        await asyncio.sleep(0)
        await held.aclose()
        await asyncio.wait([given_up])

        assert given_up.cancelled()
        with pymongo.timeout(TIMEOUT):
            await database.things.update_one({"_id": "a"}, {"$inc": {"number": 10}})
        assert await database.things.distinct("number") == [11]


async def test_what_failed_can_be_written_at_once_though_its_abort_had_to_wait(
    mongod: EmbeddedMongo, database: Database
) -> None:
    await database.things.insert_one({"_id": "a", "number": 0})
    client = make_client(mongod.uri, maxPoolSize=1)
    await client.admin.command("ping")
    pool: Any = pooled._pool_of_primary(client)
    held = AsyncExitStack()

    async def work(session: Session) -> None:
        await client[database.name].things.update_one({"_id": "a"}, {"$inc": {"number": 1}}, session=session)
        # The only connection, for which the abort has to wait.
        await held.enter_async_context(pool.checkout())
        raise LookupError

    async def aborts() -> bool:
        return pooled._has_waiters(pool)

    async with client, client.start_session() as session:
        failing = asyncio.create_task(in_transaction(work, session))
        await until_awaited(aborts)
        await asyncio.sleep(2 * ABORT_TIMEOUT)
        await held.aclose()

        with pytest.raises(LookupError):
            await failing
        with pymongo.timeout(TIMEOUT):
            await database.things.update_one({"_id": "a"}, {"$inc": {"number": 10}})
        assert await database.things.distinct("number") == [10]
