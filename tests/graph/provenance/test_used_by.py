"""Which activities read exactly an artifact: steps, transforms and ingestions in one list, oldest first."""

from datetime import timedelta
from typing import Any

import pytest

import documents
from documents.provenance.used import Used
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from tests.support import builders as new
from tests.support.asking import ADMIN, ask, refusal
from tests.support.builders import keep
from tests.support.lineage_world import START, LineageWorld

pytestmark = pytest.mark.usefixtures("database")

QUERY = """query ($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
  node(id: $id) { ... on Artifact { usedBy(first: $first, after: $after, last: $last, before: $before) {
    nodes { __typename id caption status } edges { cursor node { id } }
    pageInfo { hasPreviousPage hasNextPage } totalCount } } } }"""


async def page(artifact: documents.Document, viewer: Viewer = ADMIN, **given: Any) -> Any:
    """A page of the activities that read an artifact."""
    found = (await ask(QUERY, viewer, id=artifact.id, **given))["node"]["usedBy"]
    assert [edge["node"]["id"] for edge in found["edges"]] == [node["id"] for node in found["nodes"]]
    return found


async def users(artifact: documents.Document, viewer: Viewer = ADMIN, **given: Any) -> list[str]:
    """The captions of the activities that read an artifact."""
    return [node["caption"] for node in (await page(artifact, viewer, **given))["nodes"]]


async def test_artifacts_of_each_kind_show_who_read_them() -> None:
    world = LineageWorld()
    everything = [world.result, world.document, world.reports[1]]
    reader = new.a_step(world.execution, key="all", ordinal=2, used=[Used(ref=one.id) for one in everything])
    await keep(*world.kept, reader)
    artifacts = (*world.reports, world.generation, world.counts, *world.maps, world.result, world.document)

    found = [await users(artifact) for artifact in artifacts]

    ingestion = "Ingest of 2024-03-01 00:00"
    reports = [[ingestion], [ingestion, "all"], []]
    outputs = [["draw"], [], ["maps/main.py @ 01234567"]]
    assert found == [*reports, ["draw", "load"], *outputs, ["all"], ["all"]]


async def test_activities_of_several_kinds_are_in_one_order() -> None:
    world = LineageWorld()
    used = [Used(ref=world.counts.id)]
    steps = [
        new.a_step(world.execution, key=f"s{n}", ordinal=n, used=used, created_at=START + timedelta(hours=n))
        for n in range(2, 6)
    ]
    transforms = [
        documents.Transform(resource_ref=f"resource_{n}", used=used, created_at=START + timedelta(hours=n))
        for n in range(2, 6)
    ]
    await keep(*world.kept, *steps, *transforms)
    # Of those of one time the ids decide: steps come before transforms.
    ids = [world.draw.id, *(one.id for pair in zip(steps, transforms, strict=True) for one in pair)]

    first = await page(world.counts, first=4)
    rest = await page(world.counts, after=first["edges"][3]["cursor"])
    last = await page(world.counts, last=2)
    before = await page(world.counts, last=3, before=last["edges"][0]["cursor"])
    pages = (first, rest, last, before)

    shown = [[node["id"] for node in one["nodes"]] for one in pages]
    assert shown == [ids[:4], ids[4:], ids[7:], ids[4:7]]
    ends = [(one["pageInfo"]["hasPreviousPage"], one["pageInfo"]["hasNextPage"]) for one in pages]
    assert ends == [(False, True), (True, False), (True, False), (True, True)]
    assert {one["totalCount"] for one in pages} == {9}


async def test_nobody_is_told_of_activities_that_they_may_not_see() -> None:
    world = LineageWorld()
    world.counts.access_control.public = True
    public = LineageWorld(public=True)
    public.draw.used = [Used(ref=world.counts.id)]
    await keep(*world.kept, *public.kept)
    stranger = Viewer(Role.USER, "user_none")

    for viewer, draws in ((ANONYMOUS, 1), (stranger, 1), (Viewer(Role.USER, world.owner.id), 2), (ADMIN, 2)):
        found = await page(world.counts, viewer)

        assert [node["caption"] for node in found["nodes"]] == ["draw"] * draws
        assert found["totalCount"] == draws


async def test_a_cursor_of_another_list_is_refused() -> None:
    world = LineageWorld()
    await world.begin()

    assert (await refusal(QUERY, ADMIN, id=world.counts.id, after="WyJhIiwiYiJd"))[0] == "BAD_CURSOR"


async def test_the_readers_of_many_artifacts_are_read_at_once(round_trips: Any) -> None:
    world = LineageWorld()
    outputs = [new.an_output(world.load, attempt=1) for _ in range(40)]
    reader = new.a_step(world.execution, key="all", ordinal=2, used=[Used(ref=one.id) for one in outputs])
    await keep(*world.kept, *outputs, reader)
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Output { usedBy { nodes { caption } totalCount } } } }"

    with round_trips.counting() as seen:
        found = await ask(query, ADMIN, ids=[output.id for output in outputs])

    assert found["nodes"] == [{"usedBy": {"nodes": [{"caption": "all"}], "totalCount": 1}}] * 40
    counted_and_placed = [("aggregate", "outputs")] * 4
    assert seen == [("find", "outputs"), *counted_and_placed[:2], ("find", "steps"), *counted_and_placed[2:]]


async def test_readers_are_found_by_their_index(database: Any) -> None:
    world = LineageWorld()
    await world.begin()
    use = {"from": "steps", "localField": "_id", "foreignField": "used.ref", "as": "rows", "pipeline": [{"$limit": 9}]}

    explained = await database.command(
        "explain",
        {"aggregate": "outputs", "pipeline": [{"$lookup": use}], "cursor": {}},
        verbosity="executionStats",
    )

    (lookup,) = (stage for stage in explained["stages"] if "$lookup" in stage)
    assert lookup["indexesUsed"] == ["used.ref_1__id_1"]
    assert lookup["collectionScans"] == 0
