"""What activities used and generated, page by page, whatever kinds of artifacts that are."""

from typing import Any

import pytest

import documents
from documents.provenance.used import Used
from resolvers.access.viewer import Viewer
from tests.support import builders as new
from tests.support.asking import ADMIN, ask, refusal
from tests.support.builders import keep
from tests.support.lineage_world import LineageWorld

pytestmark = pytest.mark.usefixtures("database")

QUERY = """query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
  node(id: $id) { ... on Activity { page: NAME(first: $first, after: $after, last: $last, before: $before) {
    nodes { __typename id caption } edges { cursor node { id } }
    pageInfo { hasPreviousPage hasNextPage startCursor endCursor } totalCount } } } }"""


async def page(name: str, activity: documents.Document, viewer: Viewer = ADMIN, **given: Any) -> Any:
    """A page of what an activity used or generated."""
    query = QUERY.replace("NAME", name)
    found = (await ask(query, viewer, id=activity.id, **given))["node"]["page"]
    assert [edge["node"]["id"] for edge in found["edges"]] == [node["id"] for node in found["nodes"]]
    cursors = [edge["cursor"] for edge in found["edges"]] or [None]
    assert [found["pageInfo"][end] for end in ("startCursor", "endCursor")] == [cursors[0], cursors[-1]]
    return found


def captions(page: Any) -> list[str]:
    """The captions of the artifacts on a page."""
    return [node["caption"] for node in page["nodes"]]


async def test_activities_of_each_kind_show_what_they_used_and_generated() -> None:
    world = LineageWorld()
    await world.begin()
    activities = (world.ingestion, world.load, world.draw, world.transform)

    used = [captions(await page("used", activity)) for activity in activities]
    generated = [captions(await page("generated", activity)) for activity in activities]

    jobs = "4,759 jobs from 2 reports"
    assert used == [["Report 150183650.0", "Report 150183651.0"], [jobs], [jobs, "counts.csv"], ["map2.svg"]]
    assert generated == [[jobs], ["counts.csv"], ["map1.svg", "map2.svg"], ["Maps of the city v2"]]


async def test_used_artifacts_are_in_the_order_of_recording_each_once() -> None:
    world = LineageWorld()
    order = [world.maps[0], world.generation, world.counts, world.reports[2], world.document, world.result]
    refs = [*(one.id for one in order), world.counts.id, "output_none", "step_none", ""]
    step = new.a_step(world.execution, key="last", ordinal=2, used=[Used(ref=ref) for ref in refs])
    await keep(*world.kept, step)
    ids = [one.id for one in order]

    first = await page("used", step, first=2)
    middle = await page("used", step, first=3, after=first["pageInfo"]["endCursor"])
    last = await page("used", step, last=2)
    before = await page("used", step, last=10, before=last["pageInfo"]["startCursor"])
    between = await page("used", step, after=first["edges"][0]["cursor"], before=last["edges"][1]["cursor"])
    pages = (first, middle, last, before, between)

    assert [[node["id"] for node in one["nodes"]] for one in pages] == [
        ids[:2],
        ids[2:5],
        ids[4:],
        ids[:4],
        ids[1:5],
    ]
    assert [(one["pageInfo"]["hasPreviousPage"], one["pageInfo"]["hasNextPage"]) for one in pages] == [
        (False, True),
        (True, True),
        (True, False),
        (False, True),
        (True, False),
    ]
    assert {one["totalCount"] for one in pages} == {6}


async def test_pages_of_generated_artifacts_are_those_of_a_connection() -> None:
    world = LineageWorld()
    await keep(*world.kept, *(new.an_output(world.draw, attempt=2, file_name=f"{n}.csv") for n in range(3)))

    first = await page("generated", world.draw, first=2)
    rest = await page("generated", world.draw, first=9, after=first["pageInfo"]["endCursor"])
    archives = await page("used", world.ingestion, last=1)
    before = await page("used", world.ingestion, last=1, before=archives["pageInfo"]["startCursor"])

    assert captions(first) + captions(rest) == ["map1.svg", "map2.svg", "0.csv", "1.csv", "2.csv"]
    assert [first["totalCount"], archives["totalCount"]] == [5, 2]
    assert captions(before) + captions(archives) == ["Report 150183650.0", "Report 150183651.0"]


async def test_an_activity_that_used_and_generated_nothing_has_empty_pages() -> None:
    world = LineageWorld()
    steps = [
        new.a_step(world.execution, key="nothing", ordinal=2, used=[]),
        new.a_step(world.execution, key="unknown", ordinal=3),
    ]
    transform = documents.Transform(resource_ref="resource_none")
    dry_run = new.an_ingestion(world.instance, dry_run=True)
    await keep(*world.kept, *steps, transform, dry_run)
    empty = {
        "nodes": [],
        "edges": [],
        "pageInfo": {"hasPreviousPage": False, "hasNextPage": False, "startCursor": None, "endCursor": None},
        "totalCount": 0,
    }

    for activity in (*steps, transform, dry_run):
        assert [await page(name, activity) for name in ("used", "generated")] == [empty, empty]


@pytest.mark.parametrize("given", [{"after": "step_6b"}, {"before": "WyJhIiwiYiJd"}])
async def test_a_cursor_of_another_list_is_refused(given: dict[str, Any]) -> None:
    world = LineageWorld()
    await world.begin()

    for activity in (world.draw, world.ingestion):
        assert (await refusal(QUERY.replace("NAME", "used"), ADMIN, id=activity.id, **given))[0] == "BAD_CURSOR"


async def test_the_artifacts_of_many_activities_are_read_at_once(round_trips: Any) -> None:
    world = LineageWorld()
    refs = [world.generation.id, world.counts.id, world.document.id, world.result.id, world.reports[0].id]
    steps = [
        new.a_step(world.execution, key=f"s{n}", ordinal=n, used=[Used(ref=ref) for ref in refs[n % 5 :]])
        for n in range(2, 42)
    ]
    await keep(*world.kept, *steps)
    query = """query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Step {
      used(first: 3) { nodes { id caption } } generated(first: 2) { nodes { id caption } } } } }"""

    with round_trips.counting() as seen:
        await ask(query, ADMIN, ids=[step.id for step in steps])

    kinds = ["archives", "distributions", "generations", "outputs", "outputs", "results", "steps"]
    assert sorted(collection for _, collection in seen) == kinds


async def test_an_activity_that_used_much_that_is_hidden_costs_few_round_trips(round_trips: Any) -> None:
    world = LineageWorld(public=True)
    shown = [new.an_output(world.load, attempt=1, public=True) for _ in range(3)]
    hidden = [f"output_{number:024}" for number in range(3_000)]
    refs = [*hidden[:1_000], shown[0].id, *hidden[1_000:], *(one.id for one in shown[1:])]
    step = new.a_step(world.execution, key="last", ordinal=2, used=[Used(ref=ref) for ref in refs])
    await keep(*world.kept, *shown, step)
    query = "query ($id: ID!) { node(id: $id) { ... on Step { used(first: 2) { nodes { id } } } } }"

    with round_trips.counting() as seen:
        found = await ask(query, id=step.id)

    assert found["node"]["used"]["nodes"] == [{"id": one.id} for one in shown[:2]]
    assert [collection for _, collection in seen] == ["steps", *["outputs"] * 4]
