"""For any query the plan gives the bytes that the standard executor gives, whoever asks, and however often."""

import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, nullcontext
from random import Random
from typing import Any

import orjson
import pytest
from graphql import GraphQLArgument, GraphQLObjectType, StringValueNode, get_named_type, parse
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from hypothesis_graphql import nodes, queries

from documents.mongo.database import Database
from graph.core.fields import NODE_VIEWS
from graph.engine.plan import json_output as text
from graph.engine.plan import nested_reads
from graph.schema import schema
from resolvers.access.viewer import Viewer
from resolvers.concurrency import event_loop
from tests.graph.engine.plan.query_mutator import CODE, Cursors, QueryMutator, ValuePool
from tests.support.executors import Both
from tests.support.graph_world import World, a_world
from tests.support.patience import within

QUERIES = int(os.environ.get("PLAN_QUERIES", "200"))
"""Number of generated queries; `PLAN_QUERIES=5000` takes some minutes."""

TIMES = ["2024-02-29T23:59:59.999Z", "2024-03-01T00:59:59.999+01:00", "1970-01-01T00:00:00Z"]
NUMBERS = ["0", "4611686018427387904", "-9223372036854775808", "9223372036854775808"]
SCALARS = {
    "DateTime": st.sampled_from([*TIMES, "yesterday"]).map(nodes.String),
    "BigInt": st.sampled_from(NUMBERS).map(nodes.String) | st.integers(-5, 5).map(nodes.Int),
    "JSON": st.just(nodes.Null),
    "Int": st.integers(-1, 101).map(nodes.Int),
    # Which ones there are is known when the data is: QueryMutator puts them in.
    "ID": st.builds(lambda: StringValueNode(value="id")),
    "String": st.builds(lambda text: StringValueNode(value=text), st.text(max_size=5)),
}
REQUIRED = {"codeImpact": "".join(f", {name}: {values[0]}" for name, values in CODE.items())}
"""The arguments that connections require."""
SCHEMA = schema._schema
assert SCHEMA.query_type is not None
ROOTS = [*([name] for name in SCHEMA.query_type.fields), None]


some_queries: st.SearchStrategy[str] = st.one_of(
    [queries(SCHEMA, fields=fields, custom_scalars=SCALARS, allow_x00=False) for fields in ROOTS]
)
"""Queries over each of the root fields alone, and over all of them."""

TIME_LIMITS = (
    "documents.mongo.fast_find.REPLY_TIMEOUT",
    "graph.http.graphql.REQUEST_TIMEOUT",
    "graph.http.operation_executor.REQUEST_TIMEOUT",
)


class SharedData:
    """Data that no test changes, its values, and both executors. Not a dataclass: pytest would print its content."""

    def __init__(self, world: World, both: Both, pool: ValuePool) -> None:
        self.world, self.both, self.pool = world, both, pool
        self.tally: Counter[str] = Counter()


@pytest.fixture(scope="module")
async def shared(shared_database: Database) -> AsyncIterator[SharedData]:
    """Material for queries. In the end it checks that plans, and not the reference alone, answered most of them."""
    world, both = a_world(), Both()
    await world.begin()
    with pytest.MonkeyPatch.context() as patch:
        # Of two answers one would be late where the machine stands still for as long as a request may take.
        for limit in TIME_LIMITS:
            patch.setattr(limit, within())
        shared = SharedData(world, both, ValuePool(_ids(world), _words(world), await _cursors(world, both)))
        yield shared
    print(f"{shared.tally.total()} answers: {dict(shared.tally)}")
    assert shared.tally["planned"] >= 0.5 * shared.tally.total()


@settings(
    max_examples=QUERIES,
    deadline=None,
    derandomize=False,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
@given(query=some_queries, seed=st.integers(0, 2**32))
@pytest.mark.timeout(within(600 + QUERIES))
@pytest.mark.usefixtures("stopped")
async def test_plan_and_reference_give_the_same_bytes(query: str, seed: int, shared: SharedData) -> None:
    mutated = QueryMutator(Random(seed), shared.pool).mutate(parse(query), list(shared.world.viewers))
    note(f"asked {mutated}")

    for variables, name, small in zip(mutated.variables, mutated.viewers, (False, True), strict=True):
        with big_answers() if small else nullcontext():
            answers = await shared.both.same(mutated.query, shared.world.viewers[name], **variables)

        assert answers.has_errors or mutated.null_conditions or answers.by == "planned"
        shared.tally[f"{answers.by or 'refused'}{', with errors' if answers.has_errors else ''}"] += 1


@contextmanager
def big_answers() -> Iterator[None]:
    """Small answers are taken for big ones, which are shown in parts."""
    before = (
        event_loop.BATCH_ROWS,
        nested_reads.READ_BATCH_SIZE,
        nested_reads.LIST_ROWS,
        nested_reads.MIN_ROWS_TO_PARTITION,
        text.MAX_OBJECTS_AT_ONCE,
        text.CHUNK_BYTES,
    )
    (
        event_loop.BATCH_ROWS,
        nested_reads.READ_BATCH_SIZE,
        nested_reads.LIST_ROWS,
        nested_reads.MIN_ROWS_TO_PARTITION,
        text.MAX_OBJECTS_AT_ONCE,
        text.CHUNK_BYTES,
    ) = 2, 4, 3, 7, 3, 50
    try:
        yield
    finally:
        (
            event_loop.BATCH_ROWS,
            nested_reads.READ_BATCH_SIZE,
            nested_reads.LIST_ROWS,
            nested_reads.MIN_ROWS_TO_PARTITION,
            text.MAX_OBJECTS_AT_ONCE,
            text.CHUNK_BYTES,
        ) = before


def _ids(world: World) -> dict[str, list[str]]:
    """Ids by the root field that takes them; under the empty name those that any takes."""
    kinds = {one.kind for one in world.kept}
    return {"": world.ids()} | {kind: world.ids(kind) for kind in kinds}


def _words(world: World) -> list[str]:
    texts = {
        value
        for one in world.kept
        for name, value in one
        if isinstance(value, str)
        and name in ("display_name", "name", "title", "url", "repo_link", "github", "identifier")
    }
    return sorted([*texts, "", "a", "v1", "https://", "é", "[", "line"])


async def _cursors(world: World, both: Both) -> Cursors:
    """Cursors of every connection there is, in every order that it can be asked for."""
    found: Cursors = {}
    for type_ in SCHEMA.type_map.values():
        if not isinstance(type_, GraphQLObjectType) or type_ is SCHEMA.subscription_type:
            continue
        for name, field in type_.fields.items():
            if {"after", "before"} <= field.args.keys():
                orders = _orders(field.args.get("orderBy"))
                cursors = await _cursors_of(type_.name, name, orders, world, both)
                found |= {(type_.name, name, order): cursors[order] for order in orders if cursors[order]}
    return found


def _orders(argument: GraphQLArgument | None) -> list[str]:
    if argument is None:
        return [""]
    order: Any = get_named_type(argument.type)
    field: Any = get_named_type(order.fields["field"].type)
    return ["", *(f"[{{field: {name}, direction: {way}}}]" for name in field.values for way in ("ASC", "DESC"))]


async def _cursors_of(type_: str, name: str, orders: list[str], world: World, both: Both) -> dict[str, list[str]]:
    """The cursors of a connection, by order."""
    required = REQUIRED.get(name, "")
    asked = " ".join(
        f"a{number}: {name}(first: 100{required}{f', orderBy: {order}' if order else ''}) {{ edges {{ cursor }} }}"
        for number, order in enumerate(orders)
    )
    if type_ == "Query":
        pages = [await _data(both, f"{{ {asked} }}", world.viewers["admin"])]
    elif type_ == "Viewer":
        pages = [(await _data(both, f"{{ viewer {{ {asked} }} }}", world.viewers["authorised"]))["viewer"]]
    else:
        query = f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on {type_} {{ {asked} }} }} }}"
        ids = [one.id for one in world.kept if NODE_VIEWS.get(one.kind) == type_]
        parts = [ids[start : start + 100] for start in range(0, len(ids), 100)]
        answers = [await _data(both, query, world.viewers["admin"], ids=part) for part in parts]
        pages = [node for answer in answers for node in answer["nodes"]]
    return {
        order: [edge["cursor"] for page in pages for edge in page[f"a{number}"]["edges"]]
        for number, order in enumerate(orders)
    }


async def _data(both: Both, query: str, viewer: Viewer, **variables: Any) -> Any:
    return orjson.loads(await both.ask_plan(query, viewer, **variables))["data"]
