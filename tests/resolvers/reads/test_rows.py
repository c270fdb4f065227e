"""Rows have the fields that are asked for. Those that come in batches are read ahead, and nothing is left behind."""

import asyncio
from typing import Any

import pytest
from pymongo.errors import CursorNotFound

from documents.mongo.database import Database
from resolvers.reads import rows
from resolvers.reads.rows import find_rows, prefetch_batches, project_stages

ROWS = [{"_id": number} for number in range(40)]


@pytest.fixture
async def things(database: Database, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Forty rows, of which seven make a batch."""
    monkeypatch.setattr(rows, "BATCH_SIZE", 7)
    await database.things.insert_many(ROWS)
    return database.things


async def test_every_row_comes_once_and_in_order(things: Any) -> None:
    batches = [
        batch async for batch in prefetch_batches(ROWS[:3], things.find({}, sort=[("_id", 1)], skip=3, batch_size=7))
    ]

    assert [row for batch in batches for row in batch] == ROWS
    assert max(map(len, batches)) == 7


async def test_the_next_rows_are_asked_for_while_some_are_worked_on(things: Any) -> None:
    cursor = things.find({}, sort=[("_id", 1)], batch_size=7)
    batches = prefetch_batches([], cursor)
    await anext(batches)
    while cursor.retrieved < 14:
        await asyncio.sleep(0.001)
    await batches.aclose()


async def test_nothing_goes_on_when_nobody_wants_more(things: Any) -> None:
    before = asyncio.all_tasks()
    cursor = things.find({}, batch_size=7)
    batches = prefetch_batches([], cursor)
    await anext(batches)
    await batches.aclose()

    assert not cursor.alive
    assert asyncio.all_tasks() <= before


async def test_a_failure_reaches_the_reader(things: Any) -> None:
    cursor = things.find({}, batch_size=7)
    await cursor.next()
    await things.database.command("killCursors", things.name, cursors=[cursor.cursor_id])

    with pytest.raises(CursorNotFound):
        _ = [batch async for batch in prefetch_batches([], cursor)]


async def test_a_field_is_read_together_with_parts_of_it(database: Database) -> None:
    row = {"_id": 1, "a": {"b": {"c": 1, "d": 2}, "e": 3}, "f": {"g": 4, "h": 5}, "i": 6}
    await database.things.insert_one(row)
    fields = frozenset({"_id", "a.b", "a.b.c", "f", "f.g"})

    found = await find_rows(database.things, {}, fields)
    aggregated = await (await database.things.aggregate(project_stages(fields))).to_list()

    assert found == aggregated == [{"_id": 1, "a": {"b": {"c": 1, "d": 2}}, "f": {"g": 4, "h": 5}}]
