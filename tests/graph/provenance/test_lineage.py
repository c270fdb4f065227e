"""Lineages of objects, as clients ask for them."""

from itertools import count
from typing import Any

import orjson
import pytest

import documents
from documents.mongo.fast_find import remaining_timeout
from documents.provenance.used import Used
from graph.engine.plan import json_output, nested_reads
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.concurrency import event_loop
from resolvers.provenance.lineage import walk
from resolvers.reads.answer_budget import AnswerLimits
from tests.conftest import RoundTrips
from tests.support.asking import ADMIN, answer, ask
from tests.support.builders import a_component, a_component_version, keep
from tests.support.executors import Both
from tests.support.lineage_world import LineageWorld

pytestmark = pytest.mark.usefixtures("database")

LINEAGE = """query ($id: ID!, $direction: LineageDirection!, $depth: Int! = 10, $limit: Int! = 1000) {
  node(id: $id) { ... on Traceable { lineage(direction: $direction, depth: $depth, limit: $limit) {
    nodes { distance hasMore node { __typename id caption ... on Activity { status } ... on Output { sha256 } } }
    edges { fromId toId kind isAssumed }
    truncatedBy
    restricted
  } } }
}"""


async def lineage(id: str, viewer: Viewer = ADMIN, **variables: Any) -> Any:
    return (await ask(LINEAGE, viewer, id=id, direction="BOTH", **variables))["node"]["lineage"]


def distances(lineage: Any) -> dict[str, int]:
    return {node["node"]["id"]: node["distance"] for node in lineage["nodes"]}


PART = """lineage(direction: BOTH) { nodes { distance hasMore node { id caption ... on Step { execution { title } } } }
  edges { fromId toId kind isAssumed } truncatedBy restricted }"""
ASKED = {
    "one": "query ($id: ID!) { node(id: $id) { ... on Traceable { %s } } }",
    "a list of one": "query ($id: ID!) { nodes(ids: [$id]) { id ... on Traceable { %s } } }",
    "the same twice": "query ($id: ID!) { nodes(ids: [$id, $id]) { id ... on Traceable { %s } } }",
    "twice": "query ($id: ID!) { a: node(id: $id) { ... on Traceable { b: %s c: %s } } node(id: $id) { id } }",
    "on a page": "{ outputs(first: 1) { nodes { id %s } } }",
    "of several on a page": "{ outputs(first: 3) { nodes { id %s } edges { node { %s } } } }",
}


@pytest.mark.parametrize("asked", ASKED)
async def test_large_lineages_are_written_in_pieces_wherever_they_are(
    asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = LineageWorld()
    await world.begin()
    query = ASKED[asked].replace("%s", PART)
    variables = {"id": world.counts.id} if "$id" in query else {}
    small = await Both().same(query, ADMIN, **variables)

    for module, name, value in (
        (event_loop, "BATCH_ROWS", 2),
        (nested_reads, "LIST_ROWS", 3),
        (json_output, "MAX_OBJECTS_AT_ONCE", 3),
        (json_output, "CHUNK_BYTES", 50),
    ):
        monkeypatch.setattr(module, name, value)
    large = await Both().same(query, ADMIN, **variables)

    assert (small.by, large.by) == ("planned", "planned")
    assert large.planned == small.planned


async def test_an_edge_beyond_the_depth_between_two_nodes_is_there() -> None:
    world = LineageWorld()
    (report, *_) = world.reports
    world.load.used = [Used(ref=world.generation.id), Used(ref=report.id)]
    await world.begin()

    found = await lineage(world.load.id, depth=2)

    assert distances(found)[world.ingestion.id] == -2
    assert {"fromId": report.id, "toId": world.ingestion.id, "kind": "USED", "isAssumed": False} in found["edges"]


async def test_a_lineage_leads_through_all_three_families_with_what_is_shown_of_each() -> None:
    world = LineageWorld()
    await world.begin()

    found = await lineage(world.counts.id)

    first, *_ = found["nodes"]
    assert first["node"] == {"__typename": "Output", "id": world.counts.id, "caption": "counts.csv", "sha256": None}
    assert distances(found) == {
        world.counts.id: 0,
        world.load.id: -1,
        world.generation.id: -2,
        world.ingestion.id: -3,
        **{report.id: -4 for report in world.reports[:2]},
        world.draw.id: 1,
        world.result.id: 1,
        world.maps[0].id: 2,
        world.maps[1].id: 2,
        world.transform.id: 3,
        world.document.id: 4,
    }
    assert {"fromId": world.counts.id, "toId": world.result.id, "kind": "MEMBER", "isAssumed": False} in found["edges"]
    assert (found["truncatedBy"], found["restricted"]) == ([], 0)


async def test_what_is_no_node_stands_for_the_nodes_below_it() -> None:
    world = LineageWorld()
    dataset = documents.Dataset(resource_ref="resource_1", identifier="maps", latest_version_ref="version_1")
    version = documents.DatasetVersion(
        id="version_1", dataset_ref=dataset.id, label="v1", ordinal=1, distribution_ref=world.document.id
    )
    component = a_component()
    release = a_component_version(component)
    world.load.component_version_ref = world.draw.component_version_ref = release.id
    await world.begin()
    await keep(dataset, version, component, release)

    of_document = await lineage(world.document.id)
    of_execution = await lineage(world.execution.id, depth=1)
    of_release = await lineage(release.id, depth=1, limit=1)

    assert await lineage(dataset.id) == await lineage(version.id) == of_document
    assert starts(of_execution) == sorted(one.id for one in (world.counts, *world.maps, world.result))
    assert starts(of_release) == [world.load.id]
    assert of_release["truncatedBy"] == ["LIMIT"]


def starts(lineage: Any) -> list[str]:
    """The nodes where a lineage begins."""
    return [id for id, distance in distances(lineage).items() if distance == 0]


async def test_nothing_stands_for_a_dataset_without_versions() -> None:
    dataset = documents.Dataset(resource_ref="resource_1", identifier="maps")
    await keep(dataset)

    assert await lineage(dataset.id) == {"nodes": [], "edges": [], "truncatedBy": [], "restricted": 0}


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"depth": 0}, "depth is 0; it must be between 1 and 100."),
        ({"depth": 101}, "depth is 101; it must be between 1 and 100."),
        ({"limit": 0}, "limit is 0; it must be between 1 and 10,000."),
        ({"limit": 10_001}, "limit is 10,001; it must be between 1 and 10,000."),
    ],
)
async def test_bounds_that_are_too_wide_are_refused(bounds: dict[str, int], message: str) -> None:
    world = LineageWorld()
    await world.begin()

    refused = await answer(LINEAGE, ADMIN, id=world.counts.id, direction="BOTH", **bounds)

    assert [error["message"] for error in refused["errors"]] == [message]


async def test_a_walk_stops_at_its_bounds_and_says_so() -> None:
    world = LineageWorld()
    await world.begin()

    near = await lineage(world.counts.id, depth=1)
    few = await lineage(world.counts.id, limit=2)

    more = {node["node"]["id"]: node["hasMore"] for node in near["nodes"]}
    assert more == {world.counts.id: False, world.load.id: True, world.draw.id: True, world.result.id: False}
    assert (near["truncatedBy"], few["truncatedBy"]) == (["DEPTH"], ["LIMIT"])
    assert list(distances(few).values()) in ([0, -1], [0, 1])


async def test_who_may_not_see_a_neighbour_is_told_a_number_and_anonymous_callers_nothing() -> None:
    world = LineageWorld()
    world.counts.access_control.public = True
    await world.begin()
    stranger = Viewer(Role.USER, "user_of_nothing_here")

    seen = await lineage(world.counts.id, stranger)
    anonymous = await lineage(world.counts.id, ANONYMOUS)

    assert (list(distances(seen)), seen["edges"], seen["truncatedBy"]) == ([world.counts.id], [], [])
    assert (seen["restricted"], anonymous["restricted"]) == (3, None)
    assert anonymous | {"restricted": 3} == seen


async def test_a_hundred_lineages_take_the_rounds_of_one(round_trips: RoundTrips) -> None:
    worlds = [LineageWorld() for _ in range(4)]
    for world in worlds:
        await world.begin()
    query = """query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Traceable { lineage(depth: 4, direction: UPSTREAM) {
      nodes { distance node { id caption } } } } } }"""

    with round_trips.counting() as of_one:
        await ask(query, ADMIN, ids=[worlds[0].maps[0].id])
    with round_trips.counting() as of_all:
        found = await ask(query, ADMIN, ids=[id for world in worlds for id in (world.maps[0].id, world.maps[1].id)])

    assert [len(node["lineage"]["nodes"]) for node in found["nodes"]] == [8] * 8
    assert of_all == of_one


async def test_an_unknown_id_is_one_find_and_an_artifact_without_neighbours_two_rounds(round_trips: RoundTrips) -> None:
    world = LineageWorld()
    await keep(world.reports[2])

    with round_trips.counting() as unknown:
        answered = await ask(LINEAGE, ADMIN, id="archive_0123456789abcdef01234567", direction="BOTH")
    with round_trips.counting() as alone:
        await ask(LINEAGE, ADMIN, id=world.reports[2].id, direction="BOTH")

    assert (answered["node"], unknown) == (None, [("find", "archives")])
    assert alone[0] == ("find", "archives")
    # The second round asks for all that may have used it, and for itself once more.
    used_by = [("aggregate", "ingestionParts"), ("find", "steps"), ("find", "transforms")]
    assert sorted(alone[1:]) == sorted([*used_by, ("find", "archives")])


async def test_nodes_count_as_objects_of_the_answer_before_further_ones_are_read(round_trips: RoundTrips) -> None:
    world = LineageWorld()
    await world.begin()
    limited = Both(limits=AnswerLimits(objects=3))

    with round_trips.counting() as seen:
        refused = await limited.same(LINEAGE, ADMIN, id=world.counts.id, direction="BOTH")

    assert b"The answer would hold more than 3 objects." in refused.planned
    assert ("find", "generations") not in seen


@pytest.mark.parametrize(
    ("rounds_in_time", "expected"),
    [(0, "TIMEOUT"), (1, ["DEADLINE"])],
)
async def test_walks_of_plans_end_with_the_time_of_the_request(
    monkeypatch: pytest.MonkeyPatch, rounds_in_time: int, expected: Any
) -> None:
    world = LineageWorld()
    await world.begin()
    rounds = count()

    def left() -> float | None:
        """The time of the request, as if it ended after so many rounds; None where it never ends."""
        seconds = remaining_timeout()
        return 0.0 if seconds is not None and next(rounds) >= rounds_in_time else seconds

    monkeypatch.setattr(walk, "remaining_timeout", left)
    answered = orjson.loads(await Both().ask_plan(LINEAGE, ADMIN, id=world.counts.id, direction="BOTH"))

    if rounds_in_time:
        found = answered["data"]["node"]["lineage"]
        assert distances(found) == {world.counts.id: 0, world.load.id: -1, world.draw.id: 1, world.result.id: 1}
        assert (found["truncatedBy"], found["restricted"]) == (expected, None)
    else:
        assert (answered["data"], answered["errors"][0]["extensions"]) == ({"node": None}, {"code": expected})
