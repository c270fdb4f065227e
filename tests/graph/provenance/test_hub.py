"""An artifact that very many runs used: its users come in pages, and a lineage says where it stops."""

import random
from dataclasses import dataclass
from typing import Any

import pytest

import documents
from documents.mongo.database import Database
from documents.provenance.used import Used
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.reads.rows import collection_of
from tests.conftest import RoundTrips
from tests.support import builders as new
from tests.support.asking import ADMIN, ask, without_comparison
from tests.support.builders import keep

USERS = 12_000
"""More than are counted, shown in a lineage, or read in one reply: 10,000, 10,000 and 4,000."""
STRANGER = Viewer(Role.USER, "user_none")

USED_BY = """query ($id: ID!, $first: Int, $after: String, $last: Int) { node(id: $id) { ... on Artifact {
  usedBy(first: $first, after: $after, last: $last) { nodes { id } totalCount
    pageInfo { hasPreviousPage hasNextPage endCursor } } } } }"""
LINEAGE = """query ($id: ID!, $limit: Int!, $depth: Int! = 10) { node(id: $id) { ... on Traceable {
  lineage(direction: DOWNSTREAM, limit: $limit, depth: $depth) {
    nodes { distance hasMore node { id } } truncatedBy restricted } } } }"""


@dataclass
class Hub:
    """A public output, the step that made it, and the ids of the steps that used it: every third is public."""

    output: documents.Output
    maker: documents.Step
    users: list[str]

    @property
    def public_users(self) -> list[str]:
        """The users that everybody may see."""
        return self.users[::3]


@pytest.fixture(scope="module")
async def hub(shared_database: Database) -> Hub:
    execution = new.an_execution(new.a_twin(new.a_user(), public=True))
    maker = new.a_step(execution)
    output = new.an_output(maker, public=True)
    await keep(execution, maker, output)
    user = new.a_step(execution, used=[Used(ref=output.id)]).model_dump(by_alias=True)
    ids = [f"step_{n:024x}" for n in range(USERS)]
    rows = [user | {"_id": id, "key": id, "ordinal": n + 1, "public": n % 3 == 0} for n, id in enumerate(ids)]
    await collection_of(documents.Step).insert_many(random.Random(1).sample(rows, USERS), ordered=False)
    return Hub(output, maker, ids)


async def used_by(hub: Hub, viewer: Viewer = ADMIN, **page: Any) -> Any:
    """A page of the runs that used the output."""
    return (await ask(USED_BY, viewer, id=hub.output.id, **page))["node"]["usedBy"]


async def lineage(hub: Hub, viewer: Viewer = ADMIN, **given: Any) -> Any:
    """The lineage downstream of the output, or of another node."""
    return (await ask(LINEAGE, viewer, **{"id": hub.output.id, **given}))["node"]["lineage"]


def ids(lineage: Any) -> list[str]:
    """The ids of the nodes, in order."""
    return [node["node"]["id"] for node in lineage["nodes"]]


async def test_the_users_are_listed_page_by_page(hub: Hub, round_trips: RoundTrips) -> None:
    pages = [await used_by(hub, first=100)]
    for _ in range(2):
        pages.append(await used_by(hub, first=100, after=pages[-1]["pageInfo"]["endCursor"]))
    last = await used_by(hub, last=100)
    with round_trips.counting() as seen:
        await used_by(hub, first=100)

    assert [node["id"] for page in pages for node in page["nodes"]] == hub.users[:300]
    assert [node["id"] for node in last["nodes"]] == hub.users[-100:]
    assert [page["totalCount"] for page in (*pages, last)] == [None] * 4
    assert (last["pageInfo"]["hasPreviousPage"], last["pageInfo"]["hasNextPage"]) == (True, False)
    assert len(seen) == 6


async def test_a_lineage_stops_at_its_limit_with_the_first_by_id(hub: Hub, round_trips: RoundTrips) -> None:
    with round_trips.counting_rounds() as rounds:
        few = await lineage(hub, limit=100)
    from_maker = await lineage(hub, id=hub.maker.id, limit=50)

    assert ids(few) == [hub.output.id, *hub.users[:99]]
    assert ids(from_maker) == [hub.maker.id, hub.output.id, *hub.users[:48]]
    assert [node["node"]["id"] for node in from_maker["nodes"] if node["hasMore"]] == [hub.output.id]
    assert [node["node"]["id"] for node in few["nodes"] if node["hasMore"]] == [hub.output.id]
    assert few["truncatedBy"] == from_maker["truncatedBy"] == ["LIMIT"]
    assert rounds.count == 3


async def test_a_lineage_has_no_more_than_ten_thousand_nodes(hub: Hub) -> None:
    with without_comparison():
        found = await lineage(hub, limit=10_000, depth=1)

    assert ids(found) == [hub.output.id, *hub.users[:9_999]]
    assert (found["truncatedBy"], found["restricted"]) == (["LIMIT"], 0)


async def test_users_that_are_hidden_take_no_room_and_are_counted_up_to_a_bound(hub: Hub) -> None:
    with without_comparison():
        anonymous, stranger = [await lineage(hub, viewer, limit=5_000) for viewer in (ANONYMOUS, STRANGER)]
    listed = await used_by(hub, ANONYMOUS, first=100)

    assert ids(anonymous) == ids(stranger) == [hub.output.id, *hub.public_users]
    assert (anonymous["truncatedBy"], stranger["truncatedBy"]) == ([], [])
    assert (anonymous["restricted"], stranger["restricted"]) == (None, 1_000)
    assert [node["id"] for node in listed["nodes"]] == hub.public_users[:100]
    assert listed["totalCount"] == len(hub.public_users)
