"""A database that has fallen silent keeps nobody waiting longer than a request may, whatever others wait for."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from structlog.testing import capture_logs

from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import make_client, open_database
from tests.support.executors import Both
from tests.support.patience import within
from tests.support.suspension import suspended

TIMEOUT = 2.0
TICK = 0.05
"""Seconds of which time is counted in. One that a slow machine makes longer counts as one."""
ASKED: dict[str, dict[str, object]] = {
    "query($id: ID!) { user(id: $id) { id } }": {"id": "user_0"},
    "query($first: Int) { users(first: $first) { nodes { id } } }": {"first": 3},
}


@pytest.fixture
async def alone(fast_directory: Path) -> AsyncIterator[EmbeddedMongo]:
    """A database server of the test's own, to which the documents are bound."""
    with EmbeddedMongo.start(fast_directory / "silent", test_commands=True) as embedded:
        client = make_client(embedded.uri, timeoutMS=round(within(60) * 1000))
        await open_database(client["silent"], indexes=False)
        yield embedded
        await client.close()


async def count(ticks: list[None]) -> None:
    """Add each tick of the time that passes."""
    while True:
        await asyncio.sleep(TICK)
        ticks.append(None)


@pytest.mark.parametrize("query", ASKED)
async def test_all_who_ask_are_told_in_time(alone: EmbeddedMongo, monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    monkeypatch.setattr("documents.mongo.fast_find.REPLY_TIMEOUT", TIMEOUT)
    monkeypatch.setattr("graph.http.graphql.REQUEST_TIMEOUT", TIMEOUT)
    both = Both()
    answered = await both.ask_plan(query, **ASKED[query])
    ticks: list[None] = []
    with suspended(alone.pid):
        counting = asyncio.create_task(count(ticks))
        # To show a traceback to people takes longer than what is measured here.
        with capture_logs():
            answers = await asyncio.gather(*(both.ask_plan(query, **ASKED[query]) for _ in range(4)))
        counting.cancel()

    assert b"errors" not in answered
    assert all(b'"TIMEOUT"' in answer for answer in answers)
    # A read that first waits for another's would take twice as long.
    assert len(ticks) < 1.7 * TIMEOUT / TICK
    assert await both.ask_plan(query, **ASKED[query]) == answered


@pytest.mark.parametrize(("query", "field"), list(zip(ASKED, ("user", "users"), strict=True)))
async def test_a_field_that_the_database_is_too_slow_for_is_named(
    alone: EmbeddedMongo, monkeypatch: pytest.MonkeyPatch, query: str, field: str
) -> None:
    monkeypatch.setattr("documents.mongo.fast_find.REPLY_TIMEOUT", TIMEOUT)
    monkeypatch.setattr("graph.http.graphql.REQUEST_TIMEOUT", TIMEOUT)
    both = Both()
    slow = {"failCommands": ["find", "aggregate"], "blockConnection": True, "blockTimeMS": int(3000 * TIMEOUT)}
    async with make_client(alone.uri) as admin:
        await admin.admin.command("configureFailPoint", "failCommand", mode="alwaysOn", data=slow)
        answer = orjson.loads(await both.ask_plan(query, **ASKED[query]))
        await admin.admin.command("configureFailPoint", "failCommand", mode="off")

    (error,) = answer["errors"]
    assert (answer["data"], error["extensions"]) in [({field: None}, {"code": "TIMEOUT"}), (None, {"code": "TIMEOUT"})]
    assert error["message"].startswith(f"The request timed out before {field} was answered.")
