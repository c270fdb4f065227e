"""Sweeping while the server runs."""

import asyncio
from pathlib import Path

import pytest
from pydantic import SecretStr
from pymongo.errors import AutoReconnect

from documents.database import Database
from documents.embedded import Embedded
from graph.serving import make_app
from graph.settings import Settings
from resolvers import sweeping as sweeper
from resolvers.sweeping import sweep, sweeping
from tests.clock import Clock
from tests.runs import a_dag, claim

pytestmark = pytest.mark.usefixtures("database")


async def test_lapsed_activities_are_returned_while_it_sweeps_and_not_after(clock: Clock) -> None:
    dag = await a_dag(a="")
    await claim()
    clock.forward(61)

    async with sweeping(every=0.01):
        async with asyncio.timeout(10):
            while await dag.statuses() != {"a": "READY"}:
                await asyncio.sleep(0.01)

    await claim()
    clock.forward(61)
    await asyncio.sleep(0.1)
    assert await dag.statuses() == {"a": "RUNNING"}
    assert [task for task in asyncio.all_tasks() if task.get_name() == "sweeping"] == []


async def test_what_fails_keeps_no_other_sweep_from_its_work(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unreachable() -> int:
        raise AutoReconnect("the database is away")

    async def broken() -> int:
        raise ValueError("a mistake")

    monkeypatch.setattr(sweeper, "SWEEPS", [unreachable, broken, *sweeper.SWEEPS])
    await a_dag(a="")
    await claim()
    clock.forward(61)

    assert await sweep() == 1


async def test_a_server_sweeps_until_it_stops(database: Database, mongod: Embedded, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, database_url=SecretStr(mongod.uri), database_name=database.name)
    app = make_app(settings, mongod.uri, None)

    async with app.router.lifespan_context(app):
        during = [task.get_name() for task in asyncio.all_tasks()].count("sweeping")
    after = [task.get_name() for task in asyncio.all_tasks()].count("sweeping")

    assert (during, after) == (1, 0)
