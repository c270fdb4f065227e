"""Usage is counted with what it counts: in one transaction, at every level or at none."""

from typing import Any

import pytest

import documents
from documents.mongo.database import Database
from documents.mongo.transaction import in_transaction
from resolvers.galaxy.report.usage.cells import Cell
from resolvers.galaxy.statistics.aggregates import add_usage
from resolvers.reads.rows import collection_of
from tests.support.builders import a_generation, an_instance, keep

CELLS = [Cell("cat1", "1.0", "ok", day, jobs=2) for day in ("2019-01-31", "2019-02-01", None)]


async def counted() -> list[tuple[Any, ...]]:
    """The stored usage: the jobs of each level, and the number of documents of days."""
    levels = await collection_of(documents.Usage).find({}, sort=[("level", 1), ("year", 1)]).to_list()
    daily = await collection_of(documents.DailyUsage).count_documents({})
    return [*((row["level"], row["year"], row["jobs"]) for row in levels), ("days", daily)]


@pytest.fixture
async def generation(database: Database) -> documents.Generation:
    instance = an_instance()
    await keep(instance, generation := a_generation(instance))
    return generation


async def test_usage_of_a_transaction_that_is_called_off_is_counted_nowhere(generation: documents.Generation) -> None:
    async def called_off(session: Any) -> None:
        await add_usage(generation.id, CELLS, session)
        raise LookupError

    with pytest.raises(LookupError):
        await in_transaction(called_off)

    assert await counted() == [("days", 0)]


async def test_usage_of_a_transaction_that_is_done_again_is_counted_once(generation: documents.Generation) -> None:
    attempts = 0

    async def met_by_another(session: Any) -> None:
        nonlocal attempts
        attempts += 1
        await add_usage(generation.id, CELLS, session)
        if attempts == 1:
            # Another writes the generation, so that this transaction cannot and begins anew.
            await generation.set({"jobs": 1})
        await collection_of(documents.Generation).update_one(
            {"_id": generation.id}, {"$inc": {"jobs": 6}}, session=session
        )

    await in_transaction(met_by_another)

    assert attempts == 2
    assert await counted() == [
        ("STATE", None, 6),
        ("TOOL", None, 6),
        ("YEAR", None, 2),
        ("YEAR", "2019", 4),
        ("days", 1),
    ]
