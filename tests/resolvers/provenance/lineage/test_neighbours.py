"""Reads of the neighbours of many nodes: each round is one, however many there are, until a bound is met."""

import pytest

import documents
from documents.activities.activity import ActivityStatus
from resolvers.access.viewer import ANONYMOUS
from resolvers.provenance.lineage import joins, neighbours
from resolvers.provenance.lineage.lineage import LineageDirection, LineageRequest
from resolvers.provenance.lineage.walk import lineages
from resolvers.provenance.references import reference_fields
from resolvers.reads.node_selection import NodeSelection
from resolvers.reads.rows import Row, collection_of, find_rows
from tests.conftest import RoundTrips
from tests.support import builders as new
from tests.support.builders import keep

pytestmark = pytest.mark.usefixtures("database")

NAMES = frozenset({"edges", "truncatedBy", "hasMore", "restricted"})
SELECTION = NodeSelection(lambda document: frozenset({"_id"}), names=NAMES)


class Reports:
    """Public reports, all of which were merged by one ingestion into a generation."""

    def __init__(self, count: int) -> None:
        instance = new.an_instance(public=True)
        self.archives = [new.an_archive(instance) for _ in range(count)]
        self.generation = new.a_generation(instance)
        self.ingestion = new.an_ingestion(instance, self.generation)
        self.parts = [new.a_part(self.ingestion, one, status=ActivityStatus.SUCCEEDED) for one in self.archives]

    async def keep(self) -> "Reports":
        """Store it all."""
        await keep(*self.archives, self.generation, self.ingestion, *self.parts)
        return self


async def upstream(start: documents.Document, depth: int = 10) -> Row:
    """The lineage of a node upstream."""
    rows = await find_rows(collection_of(type(start)), {"_id": start.id}, reference_fields(type(start)))
    (found,) = await lineages([rows], ANONYMOUS, LineageRequest(LineageDirection.UPSTREAM, depth, 1_000, SELECTION))
    return found


def ids(lineage: Row) -> list[str]:
    return [node["node"]["_id"] for node in lineage["nodes"]]


@pytest.mark.parametrize("depth", [1, 2])
async def test_hundreds_of_neighbours_take_no_more_rounds_than_one(depth: int, round_trips: RoundTrips) -> None:
    reports = await Reports(300).keep()

    with round_trips.counting_rounds() as rounds:
        found = await upstream(reports.generation, depth)

    archives = sorted(one.id for one in reports.archives) if depth == 2 else []
    assert ids(found) == [reports.generation.id, reports.ingestion.id, *archives]
    # The generation's own row, the ingestion, and the archives.
    assert rounds.count == 3


async def test_an_activity_that_used_more_than_is_looked_at_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = await Reports(4).keep()
    for module in (joins, neighbours):
        monkeypatch.setattr(module, "MAX_LINEAGE_NODES", 2)

    found = await upstream(reports.ingestion)
    all_but_the_last = await upstream(reports.generation, depth=1)

    assert ids(found) == [reports.ingestion.id, *sorted(one.id for one in reports.archives)[:3]]
    assert (found["truncated_by"], all_but_the_last["truncated_by"]) == (["DEGREE"], ["DEPTH"])
