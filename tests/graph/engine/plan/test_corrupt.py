"""Rows that no model would let in: plan and reference agree about them, field by field."""

import copy
import os
from collections.abc import Iterator
from datetime import datetime
from random import Random
from typing import Any

import pytest
import structlog
from bson import Int64, ObjectId
from graphql import GraphQLInterfaceType, GraphQLObjectType, get_named_type, is_leaf_type
from pymongo.errors import WriteError

import documents
from documents.mongo.database import Database
from graph.core.fields import NODE_VIEWS
from graph.schema import schema
from tests.support.asking import ADMIN
from tests.support.executors import Both
from tests.support.graph_world import a_world

pytestmark = pytest.mark.usefixtures("quiet")

MISSING = object()
ALWAYS = [MISSING, None, 2**40]
ODD = [
    "",
    "odd",
    0,
    7,
    Int64(7),
    2.5,
    7.0,
    float("nan"),
    True,
    datetime(2024, 2, 29),
    ObjectId("0" * 24),
    b"odd",
    [],
    [None],
    ["odd"],
    [{"odd": 1}],
    {},
    {"odd": {"x": 1}},
]
VALUES = int(os.environ.get("PLAN_VALUES", "1"))
"""Number of odd values to try at each place, besides those that are always tried; `PLAN_VALUES=18` tries all."""
SMALL = "first: 5"
OF_THE_MOMENT = {("Lineage", "asOf")}
"""Fields that show the time of the answer."""


@pytest.fixture
def quiet() -> Iterator[None]:
    """Without the tracebacks of thousands of fields that fail as they should."""
    with structlog.testing.capture_logs():
        yield


@pytest.fixture(scope="module")
async def both(shared_database: Database) -> Both:
    """Both executors, and a world in which each test alters a row that it puts back."""
    await a_world().begin()
    return Both()


@pytest.mark.parametrize("kind", sorted(NODE_VIEWS))
async def test_odd_values_are_answered_alike(kind: str, both: Both) -> None:
    rows = await _fullest(kind)
    query = f"query ($id: ID!) {{ node(id: $id) {{ ... on {NODE_VIEWS[kind]} {{ {selection(NODE_VIEWS[kind])} }} }} }}"
    collection = documents.by_kind(f"{kind}_").get_pymongo_collection()  # type: ignore[union-attr]
    planned, random = 0, Random(kind)

    for path in paths(rows):
        for value in [*ALWAYS, *random.sample(ODD, VALUES)]:
            try:
                await collection.replace_one({"_id": rows["_id"]}, altered(rows, path, value))
            except WriteError:
                continue  # An index that cannot hold it keeps it out.
            answers = await both.ask(query, ADMIN, id=rows["_id"])
            assert answers.agree, f"{path} was {value!r}"
            planned += answers.by == "planned"
    await collection.replace_one({"_id": rows["_id"]}, rows)

    assert planned > 0


def selection(type_name: str, depth: int = 1) -> str:
    """All that a type shows, with what is one link away."""
    type_ = schema._schema.type_map[type_name]
    if isinstance(type_, GraphQLInterfaceType):
        return "__typename id"
    assert isinstance(type_, GraphQLObjectType)
    found = []
    for name, field in type_.fields.items():
        if (type_name, name) in OF_THE_MOMENT:
            continue
        of = get_named_type(field.type)
        arguments = f"({SMALL})" if "first" in field.args else '(label: "v1")' if "label" in field.args else ""
        if is_leaf_type(of):
            found.append(name)
        elif depth:
            found.append(f"{name}{arguments} {{ {selection(of.name, depth - 1)} }}")
    return " ".join(found) or "__typename"


def paths(row: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value of a row, and to every value of the first member of a list."""
    members = row.items() if isinstance(row, dict) else enumerate(row[:1])
    for key, value in members:
        if key != "_id":
            yield (*above, key)
            if isinstance(value, dict | list):
                yield from paths(value, (*above, key))


def altered(row: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The row with another value at a path, or with none."""
    whole = copy.deepcopy(row)
    holder: Any = whole
    for key in path[:-1]:
        holder = holder[key]
    if value is not MISSING:
        holder[path[-1]] = value
    elif isinstance(holder, list):
        holder.pop()
    else:
        del holder[path[-1]]
    return whole


async def _fullest(kind: str) -> dict[str, Any]:
    rows = await documents.by_kind(f"{kind}_").get_pymongo_collection().find({}).to_list()  # type: ignore[union-attr]
    return max(rows, key=lambda row: len(str(row)))
