"""Walks through the provenance graph, compared with networkx, and their bounds."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.errors import ExecutionTimeout

import documents
from documents.provenance.used import Used
from resolvers.access.viewer import ANONYMOUS, Viewer
from resolvers.concurrency import event_loop
from resolvers.provenance.lineage import boundary, frontier, neighbours, walk
from resolvers.provenance.lineage.lineage import LineageDirection, LineageRequest
from resolvers.provenance.lineage.walk import lineages
from resolvers.provenance.references import JOINS, REFERENCES, reference_fields
from resolvers.reads.answer_budget import AnswerTooLarge
from resolvers.reads.node_selection import NodeSelection
from resolvers.reads.rows import Row, collection_of, find_rows
from tests.conftest import RoundTrips
from tests.resolvers.provenance.lineage.random_graphs import RandomGraph
from tests.support import builders as new
from tests.support.builders import keep

pytestmark = pytest.mark.usefixtures("shared_database")

NAMES = frozenset({"edges", "truncatedBy", "hasMore", "restricted", "isAssumed"})
SELECTION = NodeSelection(lambda document: frozenset({"_id", "created_at"}), names=NAMES)
DOWNSTREAM, UPSTREAM, BOTH = LineageDirection.DOWNSTREAM, LineageDirection.UPSTREAM, LineageDirection.BOTH


def request(
    direction: LineageDirection = BOTH, depth: int = 10, limit: int = 1_000, selection: NodeSelection = SELECTION
) -> LineageRequest:
    return LineageRequest(direction, depth, limit, selection)


async def walked(viewer: Viewer, starts: list[Any], request: LineageRequest) -> list[Row]:
    """The lineages from some documents."""
    rows = [await find_rows(collection_of(type(one)), {"_id": one.id}, reference_fields(type(one))) for one in starts]
    return await lineages(rows, viewer, request)


def ids(lineage: Row) -> list[str]:
    return [node["node"]["_id"] for node in lineage["nodes"]]


@contextmanager
def small_finds(*, small: bool = True) -> Iterator[None]:
    """Let a handful of nodes take the ways that thousands take."""
    sizes = [
        (neighbours, "MAX_IDS_PER_FIND", 3),
        (neighbours, "MIN_IDS_TO_SPLIT", 2),
        (neighbours, "MIN_IDS_TO_LOOK_FOR_USE", 1),
        (neighbours, "MAX_IDS_IN_ORDER", 2),
        (boundary, "MAX_ROWS_PER_FIND", 2),
        (boundary, "FEW_ROWS", 1),
        (frontier, "MIN_LOOKUPS", 1),
    ]
    with ExitStack() as stack:
        for module, name, value in sizes if small else []:
            stack.enter_context(patch.object(module, name, value))
        yield


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    size=st.integers(1, 7),
    direction=st.sampled_from(LineageDirection),
    depth=st.one_of(st.integers(1, 4), st.just(100)),
    limit=st.one_of(st.integers(1, 12), st.just(10_000)),
    raw=st.booleans(),
    small=st.booleans(),
    together=st.booleans(),
)
async def test_from_every_node_every_viewer_finds_what_networkx_finds_in_the_visible_part(
    seed: int, size: int, direction: LineageDirection, depth: int, limit: int, raw: bool, small: bool, together: bool
) -> None:
    graph = RandomGraph(random.Random(seed), size)
    await keep(*graph.kept)
    asked = request(direction, depth, limit, replace(SELECTION, raw_bson=lambda document: raw))
    without_more = request(direction, depth, limit, replace(SELECTION, names=NAMES - {"hasMore"}))

    for viewer in graph.viewers.values():
        starts, part = graph.starts(viewer), graph.visible_part(viewer)
        with small_finds(small=small):
            groups = [starts] if together else [[start] for start in starts]
            found = [lineage for group in groups for lineage in await walked(viewer, group, asked)]
            bounds = [(await walked(viewer, [one], without_more))[0]["truncated_by"] for one in starts[:3]]

        assert [lineage["truncated_by"] for lineage in found[:3]] == bounds
        for start, lineage in zip(starts, found, strict=True):
            expected = part.expected(start.id, direction, depth, limit)
            assert [(node["node"]["_id"], node["distance"]) for node in lineage["nodes"]] == expected.distances
            edges = [(edge["from_id"], edge["to_id"], edge["kind"]) for edge in lineage["edges"]]
            assert len(edges) == len(set(edges))
            assert set(edges) == expected.edges
            if "LIMIT" in lineage["truncated_by"]:
                assert len(lineage["nodes"]) == limit
                assert any(node["has_more"] for node in lineage["nodes"])
                continue
            assert {node["node"]["_id"] for node in lineage["nodes"] if node["has_more"]} == expected.has_more
            assert lineage["truncated_by"] == (["DEPTH"] if expected.has_more else [])
            assert lineage["restricted"] == (None if viewer is ANONYMOUS else expected.restricted)


class Chain:
    """Public steps, each of which used what the one before it generated."""

    def __init__(self, length: int) -> None:
        self.owner = new.a_user()
        self.execution = new.an_execution(new.a_twin(self.owner, public=True))
        self.outputs = [new.an_output(new.a_step(self.execution), public=True)]
        self.steps: list[documents.Step] = []
        for ordinal in range(length):
            used = [Used(ref=self.outputs[-1].id)]
            self.steps.append(new.a_step(self.execution, ordinal=ordinal, used=used))
            self.outputs.append(new.an_output(self.steps[-1], public=True))

    @property
    def kept(self) -> list[Any]:
        return [self.owner, self.execution, *self.steps, *self.outputs]

    async def begin(self) -> "Chain":
        await keep(*self.kept)
        return self


@pytest.mark.parametrize("depth", [1, 3])
async def test_a_hundred_walks_take_as_many_rounds_as_one_which_are_one_more_than_their_depth(
    depth: int, round_trips: RoundTrips
) -> None:
    chains = [Chain(3) for _ in range(100)]
    await keep(*(one for chain in chains for one in chain.kept))
    rows = [[chain.outputs[0].model_dump(by_alias=True)] for chain in chains]

    with round_trips.counting_rounds() as of_one:
        await lineages(rows[:1], ANONYMOUS, request(DOWNSTREAM, depth))
    with round_trips.counting_rounds() as of_all:
        found = await lineages(rows, ANONYMOUS, request(DOWNSTREAM, depth))

    assert (of_one.count, of_all.count) == (depth + 1, depth + 1)
    assert {len(lineage["nodes"]) for lineage in found} == {depth + 1}


async def test_an_artifact_without_edges_takes_one_round_after_its_own_lookup(round_trips: RoundTrips) -> None:
    archive = new.an_archive(new.an_instance(public=True))
    await keep(archive)

    with round_trips.counting_rounds() as rounds:
        (lineage,) = await lineages([[archive.model_dump(by_alias=True)]], ANONYMOUS, request())

    assert (rounds.count, ids(lineage), lineage["truncated_by"]) == (1, [archive.id], [])


@pytest.mark.parametrize("limit", [10, 10_000])
async def test_of_the_many_users_of_one_artifact_the_first_by_id_are_found(limit: int) -> None:
    chain = await Chain(0).begin()
    hub = chain.outputs[0]
    users = [
        new.a_step(chain.execution, ordinal=n, used=[Used(ref=hub.id)]).model_dump(by_alias=True) for n in range(1_500)
    ]
    await collection_of(documents.Step).insert_many(random.Random(1).sample(users, len(users)))

    (lineage,) = await walked(ANONYMOUS, [hub], request(DOWNSTREAM, limit=limit))

    assert ids(lineage) == [hub.id, *sorted(user["_id"] for user in users)][:limit]
    assert lineage["truncated_by"] == (["LIMIT"] if limit == 10 else [])
    assert [node["has_more"] for node in lineage["nodes"][:2]] == [limit == 10, False]


async def test_near_the_deadline_a_walk_ends_with_what_it_has_found(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = await Chain(3).begin()
    left = iter([9.0, 5.0, 1.0])
    monkeypatch.setattr(walk, "remaining_timeout", lambda: next(left))

    (lineage,) = await walked(ANONYMOUS, [chain.outputs[0]], request(DOWNSTREAM))

    assert ids(lineage) == [chain.outputs[0].id, chain.steps[0].id, chain.outputs[1].id]
    assert [node["has_more"] for node in lineage["nodes"]] == [False, False, True]
    assert (lineage["truncated_by"], lineage["restricted"]) == (["DEADLINE"], None)


async def test_a_read_that_takes_too_long_ends_the_walk_without_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = await Chain(3).begin()
    finds = 0

    async def slow_find(*arguments: Any, **options: Any) -> list[Row]:
        nonlocal finds
        finds += 1
        if finds > 4:
            raise ExecutionTimeout("operation exceeded time limit", 50)
        return await find_rows(*arguments, **options)

    monkeypatch.setattr(neighbours, "find_rows", slow_find)
    monkeypatch.setattr(walk, "remaining_timeout", lambda: 9.0)
    start = chain.outputs[0].model_dump(by_alias=True)

    (lineage,) = await lineages([[start]], ANONYMOUS, request(DOWNSTREAM))

    assert ids(lineage) == [chain.outputs[0].id, chain.steps[0].id]
    assert lineage["truncated_by"] == ["DEADLINE"]


async def test_the_answer_is_told_how_many_nodes_there_are_before_more_are_read() -> None:
    chain = await Chain(3).begin()
    told: list[int] = []

    def refuse_many(objects: int) -> None:
        told.append(objects)
        if objects > 2:
            raise AnswerTooLarge("The answer would hold more than 2 objects.")

    with pytest.raises(AnswerTooLarge):
        await walked(ANONYMOUS, [chain.outputs[0]], request(selection=replace(SELECTION, expect_objects=refuse_many)))

    assert told == [1, 2, 3]


@pytest.mark.parametrize(("direction", "bounds"), [(UPSTREAM, ["DEGREE"]), (DOWNSTREAM, [])])
async def test_a_step_that_used_more_than_is_stored_has_more_neighbours_upstream(
    direction: LineageDirection, bounds: list[str]
) -> None:
    chain = Chain(1)
    chain.steps[0].used_truncated = True
    await chain.begin()

    (lineage,) = await walked(ANONYMOUS, [chain.steps[0]], request(direction))

    assert lineage["truncated_by"] == bounds


async def test_assumed_edges_are_told_apart() -> None:
    chain = Chain(1)
    chain.steps[0].used = [Used(ref=chain.outputs[0].id, assumed=True), Used(ref=chain.outputs[1].id)]
    await chain.begin()

    (lineage,) = await walked(ANONYMOUS, [chain.outputs[0]], request(DOWNSTREAM))

    step, (first, second) = chain.steps[0].id, (output.id for output in chain.outputs)
    assert sorted(
        (edge["from_id"], edge["to_id"], edge["kind"], edge["assumed"]) for edge in lineage["edges"]
    ) == sorted([(first, step, "USED", True), (second, step, "USED", False), (step, second, "GENERATED", False)])


async def test_references_that_lead_nowhere_are_passed_over() -> None:
    chain = Chain(1)
    refs = [chain.outputs[0].id, chain.owner.id, "output_0", "Output_1", "nothing_1", "nothing", ""]
    chain.steps[0].used = [Used(ref=ref) for ref in refs]
    await chain.begin()

    (lineage,) = await walked(ANONYMOUS, [chain.steps[0]], request(UPSTREAM))

    assert ids(lineage) == [chain.steps[0].id, chain.outputs[0].id]
    assert (lineage["truncated_by"], lineage["restricted"]) == ([], None)


async def test_others_have_their_turn_while_many_references_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = Chain(12)
    for step in chain.steps:
        step.used = [*(step.used or []), *(Used(ref=f"output_{number:024x}") for number in range(1_000))]
    await chain.begin()
    pauses = 0

    async def pause() -> None:
        nonlocal pauses
        pauses += 1

    monkeypatch.setattr(event_loop, "yield_to_event_loop", pause)
    found = await walked(ANONYMOUS, chain.steps, request(UPSTREAM, depth=1))

    assert [ids(lineage) for lineage in found] == [
        [step.id, output.id] for step, output in zip(chain.steps, chain.outputs, strict=False)
    ]
    # Five steps refer to 5,000 ids, which are as much work as 500 rows: two pauses each time, for what is to be looked
    # up before and after the round, and for going on.
    assert pauses == 6


def test_every_reference_and_join_has_its_indexes() -> None:
    declared = {
        (document, tuple(index.document["key"]))
        for document in documents.ALL
        for index in getattr(document.Settings, "indexes", [])
    }

    wanted = {(one.document, tuple(path for path, _ in one.index)) for one in REFERENCES}
    for join in JOINS:
        paths = (join.upstream_path, join.downstream_path)
        wanted |= {(join.document, paths), (join.document, paths[::-1])}
    assert wanted <= declared
