"""Finds on a borrowed connection give what the driver gives, and leave to it whatever goes wrong."""

import asyncio
import time
from typing import Any

import pymongo
import pytest
from pymongo.errors import AutoReconnect, ExecutionTimeout, NetworkTimeout

from documents import direct
from documents.database import Client, Database, make_client
from documents.embedded import Embedded
from tests.conftest import RoundTrips

ROWS = [{"_id": f"thing_{number:04}", "number": number, "name": f"n{number % 7}"} for number in range(1000)]
SUM = {"$reduce": {"input": {"$range": [0, 50_000]}, "initialValue": 0, "in": {"$add": ["$$value", "$$this"]}}}
SLOW = {"$expr": {"$gt": [SUM, 0]}}
"""Takes many seconds over a thousand rows."""


@pytest.fixture
async def things(database: Database) -> Any:
    """A thousand rows."""
    await database.things.insert_many(ROWS)
    return database.things


async def test_a_find_gives_what_the_driver_gives(things: Any) -> None:
    match, projection, sort = {"number": {"$gte": 20}}, {"name": 1}, [("name", -1), ("_id", 1)]

    found = await direct.find(
        things, {"filter": match, "projection": projection, "sort": dict(sort), "limit": 50, "batchSize": 1000}
    )

    assert found == await things.find(match, projection, sort=sort, limit=50).to_list()


async def test_rows_after_the_first_batch_are_fetched(things: Any, round_trips: RoundTrips) -> None:
    with round_trips.counting() as seen:
        found = await direct.find(things, {"filter": {}, "sort": {"_id": 1}, "batchSize": 400})

    assert found == ROWS
    assert seen == [("find", "things"), ("getMore", "things")]


async def test_what_the_database_refuses_is_left_to_the_driver(things: Any) -> None:
    assert await direct.find(things, {"filter": {"$nothing": 1}}) is None
    assert await direct.find(things, {"filter": {"_id": "thing_0001"}}) == [ROWS[1]]


async def test_another_driver_is_left_to_itself(things: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pymongo, "version_tuple", (4, 99, 0))

    assert await direct.find(things, {"filter": {}}) is None


async def test_a_find_that_is_given_up_takes_its_connection_along(mongod: Embedded, things: Any) -> None:
    client: Client = make_client(mongod.uri, maxPoolSize=1)
    mine = client[things.database.name].things
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await direct.find(mine, {"filter": SLOW, "batchSize": 1000})

        # A reply to the first find would be taken for an answer to this one.
        assert await direct.find(mine, {"filter": {"_id": "thing_0002"}}) == [ROWS[2]]
    finally:
        await client.close()


async def test_what_is_borrowed_is_counted_and_given_back(mongod: Embedded, things: Any) -> None:
    client: Client = make_client(mongod.uri, maxPoolSize=3)
    mine = client[things.database.name].things
    async with client:
        await client.admin.command("ping")
        pool: Any = direct._pool_of_primary(client)
        watched = set(pool.active_contexts)
        reads = [asyncio.create_task(direct.find(mine, {"filter": {"number": number}})) for number in range(60)]
        await asyncio.sleep(0)
        most = pool.requests
        for number in range(0, 60, 7):
            reads[number].cancel()
        refused = await direct.find(mine, {"filter": {"$nothing": 1}})
        found = await asyncio.gather(*reads, return_exceptions=True)

        assert most == 3
        assert refused is None
        answered = [number for number in range(60) if number % 7]
        assert [rows for rows in found if isinstance(rows, list)] == [[ROWS[number]] for number in answered]
        assert (pool.requests, pool.active_sockets, pool.operation_count) == (0, 0, 0)
        assert pool.active_contexts == watched


async def test_whoever_waits_for_a_connection_gets_the_next(mongod: Embedded, things: Any) -> None:
    client: Client = make_client(mongod.uri, maxPoolSize=2)
    mine = client[things.database.name].things

    async def by_turns(number: int) -> None:
        for _ in range(10):
            if number % 2:
                assert await direct.find(mine, {"filter": {"number": number}}) == [ROWS[number]]
            else:
                assert await mine.find_one({"number": number}) == ROWS[number]

    async with client, asyncio.timeout(30):
        await asyncio.gather(*(by_turns(number) for number in range(12)))


async def test_a_connection_that_the_driver_has_given_up_is_not_taken(mongod: Embedded, things: Any) -> None:
    client: Client = make_client(mongod.uri)
    mine = client[things.database.name].things
    async with client:
        assert await direct.find(mine, {"filter": {"_id": "thing_0002"}}) == [ROWS[2]]
        pool: Any = direct._pool_of_primary(client)
        (old,) = pool.conns
        # As after a failure elsewhere: what is open belongs to a generation that has ended.
        pool.gen.inc(None)

        assert await direct.find(mine, {"filter": {"_id": "thing_0003"}}) == [ROWS[3]]
        assert old.closed
        assert old not in pool.conns


async def test_a_find_ends_with_the_time_that_its_request_has(things: Any) -> None:
    began = time.monotonic()
    with pytest.raises((ExecutionTimeout, NetworkTimeout)), pymongo.timeout(0.2):
        await direct.find(things, {"filter": SLOW, "batchSize": 1000})

    assert time.monotonic() - began < 2


@pytest.mark.parametrize(("waited", "is_left"), [(0.0, True), (0.15, False)])
async def test_the_driver_asks_again_while_there_is_time_for_it(
    things: Any, monkeypatch: pytest.MonkeyPatch, waited: float, is_left: bool
) -> None:
    async def hang_up(*_: object) -> Any:
        await asyncio.sleep(waited)
        raise AutoReconnect("connection closed")

    monkeypatch.setattr(direct, "_borrowing", hang_up)
    with pymongo.timeout(0.2):
        if is_left:
            assert await direct.find(things, {"filter": {}}) is None
        else:
            with pytest.raises(NetworkTimeout, match=r"within 0\.\d s"):
                await direct.find(things, {"filter": {}})
