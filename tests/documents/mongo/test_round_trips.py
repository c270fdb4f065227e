"""Round trips are counted for the process and for an operation, whichever way they take."""

import asyncio

import pytest

import documents
from documents.mongo import round_trips
from documents.mongo.connections import connection_counts
from documents.mongo.database import Client, Database
from documents.mongo.round_trips import ProcessRoundTrips, counting_round_trips
from documents.private_apis import POOL
from resolvers.reads.rows import collection_of, find_rows


async def test_finds_of_our_own_and_commands_of_the_driver_count_once_each(database: Database) -> None:
    users = collection_of(documents.User)
    await users.insert_one({"_id": "user_1"})
    counter, before = ProcessRoundTrips(), round_trips.of_process.round_trips

    with counting_round_trips(counter):
        await find_rows(users, {}, frozenset({"_id"}))
        await users.update_one({"_id": "user_1"}, {"$set": {"displayName": "Ada"}})
        await asyncio.create_task(users.count_documents({}))
    await users.count_documents({})

    assert counter.round_trips == 3
    assert round_trips.of_process.round_trips - before == 4


async def test_a_connection_in_use_is_checked_out_and_then_idle(client: Client, database: Database) -> None:
    seen = set()

    inserting = asyncio.create_task(database.users.insert_one({"_id": "user_1"}))
    while not inserting.done():
        seen.add(connection_counts(client)["checked_out"])
        await asyncio.sleep(0)

    assert seen == {0, 1}
    counts = connection_counts(client)
    assert (counts["checked_out"], counts["waiting"]) == (0, 0)
    assert counts["idle"] >= 1


def test_without_the_drivers_private_names_nothing_is_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(POOL.__dict__, "problem", "pymongo 9.9 is installed")

    assert connection_counts(client) == {}
