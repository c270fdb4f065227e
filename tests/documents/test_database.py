"""A transaction is made whole or not at all, also for who does not wait for it."""

import asyncio
from typing import Any

import pymongo

from documents.database import Database, in_transaction, make_client
from documents.embedded import Embedded
from resolvers.writing import Session

WITHIN = 5
"""Seconds. What a lost transaction wrote cannot be written for sixty."""


async def test_what_is_given_up_while_it_commits_can_be_written_at_once(mongod: Embedded, database: Database) -> None:
    await database.things.insert_one({"_id": "a", "number": 0})
    client = make_client(mongod.uri, maxPoolSize=1)
    topology = (await client.admin.command("hello"))["topologyVersion"]
    commits = asyncio.Event()

    async def work(session: Session) -> asyncio.Task[Any]:
        await client[database.name].things.update_one({"_id": "a"}, {"$inc": {"number": 1}}, session=session)
        # An answer that is kept back holds the only connection, for which the commit has to wait.
        kept_back = client.admin.command("hello", topologyVersion=topology, maxAwaitTimeMS=500)
        holder = asyncio.create_task(kept_back)
        await asyncio.sleep(0.1)
        commits.set()
        return holder

    async with client, client.start_session() as session:
        given_up = asyncio.create_task(in_transaction(work, session))
        await commits.wait()
        await asyncio.sleep(0.1)
        given_up.cancel()
        await asyncio.wait([given_up])

        assert given_up.cancelled()
        with pymongo.timeout(WITHIN):
            await database.things.update_one({"_id": "a"}, {"$inc": {"number": 10}})
        assert await database.things.distinct("number") == [11]
