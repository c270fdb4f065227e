"""The queries that people really send have plans, and none falls back."""

import json
from pathlib import Path
from typing import Any

import pytest

from graph import graphiql
from graph.engine.prepare import DocumentCache
from graph.limits import Limits
from graph.schema import schema
from tests.support.asking import is_planned
from tests.support.executors import Both
from tests.support.graph_world import World, a_world

pytestmark = pytest.mark.usefixtures("database")

TABS = Path(graphiql.__file__).parent / "queries"
PEERS = Path(__file__).parents[5] / "shared" / "peers" / "queries"


def queries_in(folder: Path) -> list[Any]:
    """The queries of a folder, each with the variables beside it."""
    files = sorted(folder.glob("*.graphql"))
    return [pytest.param(file, id=file.stem) for file in files if is_planned(file.read_text())]


def variables_of(query: Path, world: World) -> dict[str, Any]:
    beside = query.with_suffix(".json")
    if beside.exists():
        found: dict[str, Any] = json.loads(beside.read_text())
        return found
    return {"id": world.ids("user")[0]} if "$id" in query.read_text() else {}


@pytest.mark.parametrize("query", [*queries_in(TABS), *queries_in(PEERS)])
async def test_every_worked_query_is_planned_for_every_viewer(query: Path) -> None:
    world, both = a_world(), Both(DocumentCache(schema, Limits()))
    await world.begin()

    for viewer in world.viewers.values():
        answers = await both.same(query.read_text(), viewer, **variables_of(query, world))

        assert answers.by == "planned"
        assert answers.data


def test_there_are_worked_queries() -> None:
    assert len(queries_in(TABS)) == 7
    if not PEERS.is_dir():
        pytest.skip("The peers' queries are not beside this repository.")
    assert len(queries_in(PEERS)) == 3
