"""Sweeping while the server runs."""

import asyncio
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr
from pymongo.errors import AutoReconnect

from documents.embedded_mongod.server import EmbeddedMongo
from documents.mongo.database import Database
from graph.server.assemble import make_app
from graph.settings import Settings
from resolvers.sweeps import sweep_loop as sweeper
from resolvers.sweeps.sweep_loop import run_sweeper, sweep
from tests.support.clock import Clock
from tests.support.patience import until_awaited
from tests.support.runs import Dag, a_dag, claim

pytestmark = pytest.mark.usefixtures("database")


async def test_expired_activities_are_returned_while_it_sweeps_and_not_after(clock: Clock) -> None:
    dag = await a_dag(a="")
    await claim()
    clock.forward(61)

    async with run_sweeper(interval=0.01):
        await until_awaited(partial(has_statuses, dag, a="READY"))

    await claim()
    clock.forward(61)
    assert [task for task in asyncio.all_tasks() if task.get_name() == "sweeping"] == []
    assert await dag.statuses() == {"a": "RUNNING"}


async def has_statuses(dag: Dag, **statuses: str) -> bool:
    """Whether the steps have these statuses."""
    return await dag.statuses() == statuses


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


async def test_a_server_sweeps_until_it_stops(database: Database, mongod: EmbeddedMongo, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, database_url=SecretStr(mongod.uri), database_name=database.name)
    app = make_app(settings, mongod.uri, None)

    async with app.router.lifespan_context(app):
        during = [task.get_name() for task in asyncio.all_tasks()].count("sweeping")
    after = [task.get_name() for task in asyncio.all_tasks()].count("sweeping")

    assert (during, after) == (1, 0)
