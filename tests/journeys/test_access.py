"""Access to reads: for every viewer, hidden documents do not exist.

One comparison stands for all of them. A viewer asks every question that the schema has. Then all that the reference
policy hides from them is removed from the database, and somebody who sees everything asks the same questions. The
answers must be the same bytes.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson
import pytest

import documents
from documents.mongo.database import Database
from graph.core.fields import NODE_VIEWS
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from tests.journeys.access_queries import (
    GUARDED,
    UNKNOWN,
    continued_lists,
    every_question,
    links,
    lists_with_cursors,
    narrowed_lists,
    target,
    under,
)
from tests.journeys.access_world import ADMIN, World, a_world
from tests.support.asking import answer, as_written, ask, by_reference, without_comparison

VIEWERS = ["anonymous", "stranger", "owner", "authorised", "worker", "worker_of_the_owner", "admin"]


@pytest.fixture
def world(database: Database) -> World:
    return a_world()


def seeing_everything(viewer: Viewer) -> Viewer:
    """A viewer for the same user who sees everything."""
    return replace(viewer, role=Role.ADMIN)


async def written(query: str, viewer: Viewer) -> bytes:
    """The answer's bytes. A query of these tests is always one that can be answered, if only with nothing."""
    return orjson.dumps(without_errors(await answer(query, viewer)))


def without_errors(found: dict[str, Any]) -> dict[str, Any]:
    """An answer, none of whose links led to something hidden where it may not be null."""
    assert "errors" not in found, found
    return found


async def assert_the_hidden_is_missing(world: World, viewer: Viewer, queries: list[str]) -> None:
    """Ask, remove what the viewer may not see, ask again as one who sees everything, and compare.

    The first is asked as the server asks, by plan, the second by the reference executor: both are seen to agree.
    """
    await world.begin()
    with without_comparison():
        shown = [await written(query, viewer) for query in queries]
    await world.forget(viewer)
    for query, bytes_shown in zip(queries, shown, strict=True):
        everything = await by_reference(query, seeing_everything(viewer))
        assert bytes_shown == orjson.dumps(without_errors(as_written(everything))), query


@pytest.mark.parametrize("name", ["anonymous", "stranger", "owner", "authorised", "worker"])
async def test_what_a_viewer_may_not_see_does_not_exist(world: World, name: str) -> None:
    queries = list(every_question(world))

    await assert_the_hidden_is_missing(world, world.viewers[name], queries)


@pytest.mark.parametrize("name", ["stranger", "authorised"])
async def test_a_cursor_of_somebody_who_sees_more_shows_nothing_more(world: World, name: str) -> None:
    await world.begin()
    cursors: defaultdict[str, set[str]] = defaultdict(set)
    with without_comparison():
        for type_name, selected, key in lists_with_cursors():
            given = (await written(under(world, type_name, selected), ADMIN)).decode()
            cursors[key] |= set(re.findall(r'"cursor":"([^"]+)"', given))
    queries = [under(world, type_name, selected) for type_name, selected in continued_lists(cursors)]

    await assert_the_hidden_is_missing(world, world.viewers[name], queries)


@pytest.mark.parametrize("name", ["stranger", "authorised"])
async def test_no_filter_order_or_page_tells_of_what_is_hidden(world: World, name: str) -> None:
    queries = list(narrowed_lists(world))

    await assert_the_hidden_is_missing(world, world.viewers[name], queries)


async def test_every_link_of_the_schema_leads_to_something_hidden_in_the_world_of_these_tests(world: World) -> None:
    await world.begin()
    hidden = {one.id for one in world.hidden(ANONYMOUS)}
    # Log lines and rejections have no ids; payloads are asked for in the tests of writing, and subscriptions have tests
    # of their own.
    guarded = {
        (type_name, name)
        for type_name, name, field in links()
        if target(field) in GUARDED - {"LogEntry", "Rejection"} and not type_name.endswith(("Payload", "Subscription"))
    }
    reached: set[tuple[str, str]] = set()
    # The viewer's shared twins and outputs are empty for a viewer with whom nothing is shared.
    asking = seeing_everything(world.viewers["authorised"])

    with without_comparison():
        for query in every_question(world):
            _walk(orjson.loads(await written(query, asking))["data"], "Query", hidden, reached)

    assert guarded
    assert guarded - reached == set()


def _walk(shown: Any, type_name: str, hidden: set[str], reached: set[tuple[str, str]]) -> None:
    """Note which links lead to something hidden."""
    for name, value in shown.items():
        for one in _objects(value):
            if one.get("id") in hidden:
                reached.add((type_name, re.sub(r"^a\d+_", "", name)))
            _walk(one, one.get("__typename", ""), hidden, reached)


def _objects(value: Any) -> Iterable[dict[str, Any]]:
    if isinstance(value, dict):
        return list(value.get("nodes", [value]))
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


async def test_lists_and_lookups_give_exactly_what_the_reference_policy_shows(world: World) -> None:
    for name in VIEWERS:
        await world.begin()
        viewer = world.viewers[name]
        ids = world.ids(*(one for one in documents.ALL if one.kind in NODE_VIEWS))

        lists = await ask(
            "{ digitalTwins(first: 99) { totalCount nodes { id } } executions(first: 99) { totalCount nodes { id } } }",
            viewer,
        )
        halves = ids[: len(ids) // 2], ids[len(ids) // 2 :]
        found = [await ask("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", viewer, ids=half) for half in halves]

        for field, kind in (("digitalTwins", documents.DigitalTwin), ("executions", documents.Execution)):
            expected = sorted(id for id in world.ids(kind) if world.sees(viewer, world.by_id[id]))
            assert [one["id"] for one in lists[field]["nodes"]] == expected
            assert lists[field]["totalCount"] == len(expected)
        nodes = [node for half in found for node in half["nodes"]]
        assert nodes == [{"id": id} if world.sees(viewer, world.by_id[id]) else None for id in ids]


async def test_a_hidden_id_is_answered_with_the_bytes_of_an_unknown_one(world: World) -> None:
    for name in VIEWERS[:-1]:
        await world.begin()
        viewer = world.viewers[name]
        hidden = [one for one in world.hidden(viewer) if one.kind in NODE_VIEWS]

        for one in hidden:
            for query in ('{ node(id: "%s") { __typename id } }', '{ nodes(ids: ["%s"]) { __typename id } }'):
                assert await written(query % one.id, viewer) == await written(query % UNKNOWN[one.kind], viewer)

        assert {type(one) for one in hidden} >= {documents.Output}
