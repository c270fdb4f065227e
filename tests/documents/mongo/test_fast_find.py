"""Finds on a borrowed connection give what the driver gives, and leave to it whatever goes wrong."""

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pymongo
import pytest
from pymongo import ReadPreference
from pymongo.errors import AutoReconnect, ExecutionTimeout, NetworkTimeout
from pymongo.read_concern import ReadConcern

from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo import fast_find
from documents.mongo import pool as pooled
from documents.mongo.database import Client, Database, make_client
from documents.mongo.replies import counting_replies
from documents.private_apis import POOL
from tests.conftest import RoundTrips
from tests.support.patience import until_awaited, within

ROWS = [{"_id": f"thing_{number:04}", "number": number, "name": f"n{number % 7}"} for number in range(1000)]
SUM = {"$reduce": {"input": {"$range": [0, 50_000]}, "initialValue": 0, "in": {"$add": ["$$value", "$$this"]}}}
SLOW = {"$expr": {"$gt": [SUM, 0]}}
"""Takes many seconds over a thousand rows."""
LONG = within()
"""Seconds that a reply may take, where it is seen that nobody waits for so long."""


@pytest.fixture
async def things(database: Database) -> Any:
    """A thousand rows."""
    await database.things.insert_many(ROWS)
    return database.things


async def test_a_find_gives_what_the_driver_gives(things: Any) -> None:
    match, projection, sort = {"number": {"$gte": 20}}, {"name": 1}, [("name", -1), ("_id", 1)]

    found = await fast_find.find_rows(
        things, {"filter": match, "projection": projection, "sort": dict(sort), "limit": 50, "batchSize": 1000}
    )

    assert found == await things.find(match, projection, sort=sort, limit=50).to_list()


async def test_rows_after_the_first_batch_are_fetched(things: Any, round_trips: RoundTrips) -> None:
    with round_trips.counting() as seen:
        found = await fast_find.find_rows(things, {"filter": {}, "sort": {"_id": 1}, "batchSize": 400})

    assert found == ROWS
    assert seen == [("find", "things"), ("getMore", "things")]


async def test_replies_are_counted_before_rows_are_made(things: Any) -> None:
    sizes: list[int] = []

    def count(size: int) -> None:
        sizes.append(size)
        if len(sizes) > 1:
            raise LookupError("enough")

    with counting_replies(count), pytest.raises(LookupError):
        await fast_find.find_rows(things, {"filter": {}, "sort": {"_id": 1}, "batchSize": 2})
    rows = await fast_find.find_rows(things, {"filter": {}, "sort": {"_id": 1}, "batchSize": 2})

    assert sizes[0] < 1_000 < sizes[1]
    assert (len(sizes), rows) == (2, ROWS)


async def test_what_the_database_refuses_is_left_to_the_driver(things: Any) -> None:
    assert await fast_find.find_rows(things, {"filter": {"$nothing": 1}}) is None
    assert await fast_find.find_rows(things, {"filter": {"_id": "thing_0001"}}) == [ROWS[1]]


async def test_another_driver_is_left_to_itself(things: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(POOL.__dict__, "problem", "pymongo 4.99 is installed")

    assert await fast_find.find_rows(things, {"filter": {}}) is None


@pytest.mark.parametrize(
    "options",
    [{"readPreference": "secondaryPreferred"}, {"readPreference": "nearest"}, {"readConcernLevel": "majority"}],
    ids=str,
)
async def test_a_url_that_says_how_to_read_is_left_to_the_driver(
    mongod: EmbeddedMongo, things: Any, options: dict[str, str]
) -> None:
    async with make_client(f"{mongod.uri}{'&' if '?' in mongod.uri else '?'}{urlencode(options)}") as client:
        mine = client[things.database.name].things

        assert await fast_find.find_rows(mine, {"filter": {}}) is None
        plainly = mine.with_options(read_preference=ReadPreference.PRIMARY, read_concern=ReadConcern())
        assert await fast_find.find_rows(plainly, {"filter": {"_id": "thing_0001"}}) == [ROWS[1]]


async def test_a_find_that_is_given_up_takes_its_connection_along(mongod: EmbeddedMongo, things: Any) -> None:
    client: Client = make_client(mongod.uri, maxPoolSize=1)
    mine = client[things.database.name].things
    try:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await fast_find.find_rows(mine, {"filter": SLOW, "batchSize": 1000})

        # A reply to the first find would be taken for an answer to this one.
        assert await fast_find.find_rows(mine, {"filter": {"_id": "thing_0002"}}) == [ROWS[2]]
    finally:
        await client.close()


async def test_what_is_borrowed_is_counted_and_given_back(mongod: EmbeddedMongo, things: Any) -> None:
    client: Client = make_client(mongod.uri, maxPoolSize=3)
    mine = client[things.database.name].things
    async with client:
        await client.admin.command("ping")
        pool: Any = pooled._pool_of_primary(client)
        watched = set(pool.active_contexts)
        reads = [asyncio.create_task(fast_find.find_rows(mine, {"filter": {"number": number}})) for number in range(60)]
        await asyncio.sleep(0)
        most = pool.requests
        for number in range(0, 60, 7):
            reads[number].cancel()
        refused = await fast_find.find_rows(mine, {"filter": {"$nothing": 1}})
        found = await asyncio.gather(*reads, return_exceptions=True)

        assert most == 3
        assert refused is None
        answered = [number for number in range(60) if number % 7]
        assert [rows for rows in found if isinstance(rows, list)] == [[ROWS[number]] for number in answered]
        assert (pool.requests, pool.active_sockets, pool.operation_count) == (0, 0, 0)
        assert pool.active_contexts == watched


async def test_whoever_waits_for_a_connection_gets_the_next(mongod: EmbeddedMongo, things: Any) -> None:
    client: Client = make_client(mongod.uri, maxPoolSize=2)
    mine = client[things.database.name].things

    async def by_turns(number: int) -> None:
        for _ in range(10):
            if number % 2:
                assert await fast_find.find_rows(mine, {"filter": {"number": number}}) == [ROWS[number]]
            else:
                assert await mine.find_one({"number": number}) == ROWS[number]

    async with client, asyncio.timeout(within()):
        await asyncio.gather(*(by_turns(number) for number in range(12)))


def _give_up(pool: Any, connection: Any) -> None:
    """As after a failure elsewhere: what is open belongs to a generation that has ended."""
    pool.gen.inc(None)


def _leave_idle(pool: Any, connection: Any) -> None:
    """For longer than the driver trusts a connection without a look at it."""
    connection.last_checkin_time -= 2 * pooled.IDLE_CHECK_AFTER


@pytest.mark.parametrize("set_aside", [_give_up, _leave_idle])
async def test_a_connection_that_the_driver_would_not_take_is_not_taken(
    mongod: EmbeddedMongo, things: Any, set_aside: Callable[[Any, Any], None]
) -> None:
    client: Client = make_client(mongod.uri)
    mine = client[things.database.name].things
    async with client:
        assert await fast_find.find_rows(mine, {"filter": {"_id": "thing_0002"}}) == [ROWS[2]]
        pool: Any = pooled._pool_of_primary(client)
        (old,) = pool.conns
        # A find on this connection would get no reply and fall back to the driver.
        old.conn.get_conn.close(None)
        set_aside(pool, old)

        assert await fast_find.find_rows(mine, {"filter": {"_id": "thing_0003"}}) == [ROWS[3]]
        assert old.closed
        assert old not in pool.conns


async def test_a_find_ends_with_the_time_that_its_request_has(things: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_find, "REPLY_TIMEOUT", LONG)
    began = time.monotonic()
    with pytest.raises((ExecutionTimeout, NetworkTimeout)), pymongo.timeout(0.2):
        await fast_find.find_rows(things, {"filter": SLOW, "batchSize": 1000})

    assert time.monotonic() - began < LONG / 2


@pytest.mark.parametrize(("waited", "is_left"), [(0.0, True), (0.75 * LONG, False)])
async def test_the_driver_asks_again_while_there_is_time_for_it(
    things: Any, monkeypatch: pytest.MonkeyPatch, waited: float, is_left: bool
) -> None:
    now = 0.0

    async def hang_up(*_: object) -> Any:
        nonlocal now
        now += waited
        raise AutoReconnect("connection closed")

    monkeypatch.setattr(fast_find, "REPLY_TIMEOUT", LONG)
    monkeypatch.setattr(fast_find, "time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(fast_find, "run_on_pooled_connection", hang_up)
    with pymongo.timeout(LONG):
        if is_left:
            assert await fast_find.find_rows(things, {"filter": {}}) is None
        else:
            with pytest.raises(NetworkTimeout, match=f"within {waited:.1f} s"):
                await fast_find.find_rows(things, {"filter": {}})


async def test_a_find_that_is_hung_up_on_is_left_to_the_driver_at_once(
    mongod: EmbeddedMongo, things: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def are_waited_for() -> bool:
        return len(pooled._awaiting_reply) == 2

    monkeypatch.setattr(fast_find, "REPLY_TIMEOUT", LONG)
    async with make_client(mongod.uri) as client:
        mine = client[things.database.name].things
        await client.admin.command("ping")
        pool: Any = pooled._pool_of_primary(client)
        # The first comes to the connection that lies ready, the second by way of the driver.
        slow = [asyncio.create_task(fast_find.find_rows(mine, {"filter": SLOW, "batchSize": 1000})) for _ in range(2)]
        await until_awaited(are_waited_for)
        began = time.monotonic()
        pooled.interrupt_replies(pool)
        found = await asyncio.gather(*slow)

        assert found == [None, None]
        assert time.monotonic() - began < LONG / 2
        assert await fast_find.find_rows(mine, {"filter": {"_id": "thing_0002"}}) == [ROWS[2]]
        assert (pool.requests, pool.active_sockets, len(pooled._awaiting_reply)) == (0, 0, 0)
