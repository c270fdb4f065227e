"""Each viewer is shown their part of a lineage, and whether it is fresh as far as that goes; of the rest, a number."""

from typing import Any

import pytest

from documents.provenance.used import Used
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.limits import MAX_RESTRICTED_NEIGHBOURS
from tests.support import builders as new
from tests.support.asking import ADMIN, answer, ask
from tests.support.builders import keep
from tests.support.lineage_world import LineageWorld

STRANGER = Viewer(Role.USER, "user_none")
pytestmark = pytest.mark.usefixtures("database")

QUERY = """query ($id: ID!) { node(id: $id) { ... on Artifact { staleness { status causes { kind } } lineage {
  nodes { distance hasMore node { caption } } truncatedBy restricted } } } }"""

PUBLIC = {"map2.svg": 0, "maps/main.py @ 01234567": 1, "Maps of the city v2": 2}
STEPS = PUBLIC | {"draw": -1, "counts.csv": -2, "load": -3}
TWIN = STEPS | {"Maps": 1}
ALL = TWIN | {"4,759 jobs from 2 reports": -2, "Ingest of 2024-03-01 00:00": -3}
ALL |= {"Report 150183650.0": -4, "Report 150183651.0": -4}

SEEN: dict[str, tuple[dict[str, int], int | None, str] | None] = {
    "administrator": (ALL, 0, "FRESH"),
    "owner of both": (ALL, 0, "FRESH"),
    "reader of the twin": (TWIN, 1, "UNKNOWN"),
    "worker that runs it": (STEPS, 2, "UNKNOWN"),
    "reader of two outputs": (PUBLIC, 2, "UNKNOWN"),
    "worker elsewhere": None,
    "stranger": None,
    "anonymous": None,
    "stranger, of public outputs": (PUBLIC, 2, "UNKNOWN"),
    "worker elsewhere, of public outputs": (PUBLIC, 2, "UNKNOWN"),
    "anonymous, of public outputs": (PUBLIC, None, "UNKNOWN"),
}
"""The lineage of the second map, the number of hidden neighbours, and the verdict, for each viewer."""


@pytest.mark.parametrize("who", SEEN)
async def test_each_viewer_sees_their_part_and_a_number(who: str) -> None:
    reader, friend = new.a_user(), new.a_user()
    world = LineageWorld(reader_refs=[reader.id])
    component = new.a_component()
    version = new.a_component_version(component)
    running = Viewer(Role.WORKER, token_id="token_running")
    for step in (world.load, world.draw):
        step.component_version_ref = version.id
    for one in (world.load, world.draw, world.counts, *world.maps):
        one.runners = [running.key]
    for output in (world.counts, world.maps[1]):
        output.access_control.authorized_users = [friend.id]
        output.access_control.public = "public" in who
    await keep(*world.kept, reader, friend, component, version)
    viewers = {
        "administrator": ADMIN,
        "owner of both": Viewer(Role.USER, world.owner.id),
        "reader of the twin": Viewer(Role.USER, reader.id),
        "worker that runs it": running,
        "reader of two outputs": Viewer(Role.USER, friend.id),
        "worker elsewhere": Viewer(Role.WORKER, token_id="token_elsewhere"),
        "stranger": STRANGER,
        "anonymous": ANONYMOUS,
    }

    found = await ask(QUERY, viewers[who.partition(",")[0]], id=world.maps[1].id)

    assert (found["node"] and shown(found["node"])) == SEEN[who]


def shown(node: Any) -> tuple[dict[str, int], int | None, str]:
    """The distances of the nodes of a complete lineage, the number of hidden neighbours, and the verdict."""
    lineage, staleness = node["lineage"], node["staleness"]
    assert (lineage["truncatedBy"], staleness["causes"]) == ([], [])
    assert not any(node["hasMore"] for node in lineage["nodes"])
    return (
        {node["node"]["caption"]: node["distance"] for node in lineage["nodes"]},
        lineage["restricted"],
        staleness["status"],
    )


async def test_hidden_neighbours_are_counted_once_each_up_to_a_thousand() -> None:
    world = LineageWorld()
    world.counts.access_control.public = True
    steps = [
        new.a_step(world.execution, key=f"s{n}", ordinal=n, used=[Used(ref=world.counts.id)] * 2)
        for n in range(2, MAX_RESTRICTED_NEIGHBOURS)
    ]
    first, others = steps[:-2], steps[-2:]
    await keep(*world.kept, *first)
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Traceable { lineage { restricted } } } }"
    ids = [world.counts.id, world.transform.id]

    # The step that made the output, another one that used it, and the result that gathers it are hidden as well.
    before = await ask(query, STRANGER, ids=ids)
    await keep(*others)
    after = await ask(query, STRANGER, ids=ids)

    assert [node["lineage"]["restricted"] for node in before["nodes"]] == [MAX_RESTRICTED_NEIGHBOURS - 1, 1]
    assert [node["lineage"]["restricted"] for node in after["nodes"]] == [MAX_RESTRICTED_NEIGHBOURS, 1]


@pytest.mark.parametrize("viewer", [ANONYMOUS, STRANGER], ids=["anonymous", "stranger"])
async def test_a_lineage_of_something_hidden_is_that_of_something_unknown(viewer: Viewer) -> None:
    world = LineageWorld()
    await world.begin()
    hidden = [*world.reports, world.generation, world.ingestion, world.execution, world.load, *world.maps, world.result]
    query = """query ($id: ID!, $depth: Int!) { node(id: $id) { id ... on Traceable {
      lineage(depth: $depth) { restricted truncatedBy } } ... on Artifact { usedBy(after: "x") { totalCount } } } }"""

    for one in hidden:
        for depth in (1, 0):
            unknown = await answer(query, viewer, id=f"{one.kind}_{'f' * 24}", depth=depth)
            assert await answer(query, viewer, id=one.id, depth=depth) == unknown
