"""Walks through the provenance graph, compared with networkx."""

import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import documents
from resolvers.access.viewer import ANONYMOUS, Viewer
from resolvers.provenance.lineage import LineageDirection, LineageRequest
from resolvers.provenance.references import reference_fields
from resolvers.provenance.walk import lineages
from resolvers.reads.node_selection import NodeSelection
from resolvers.reads.rows import Row, collection_of, find_rows
from tests.resolvers.provenance.random_graphs import RandomGraph
from tests.support.builders import keep

pytestmark = pytest.mark.usefixtures("shared_database")

SELECTION = NodeSelection(
    lambda document: frozenset({"_id"}), names=frozenset({"edges", "truncatedBy", "hasMore", "restricted"})
)
DOWNSTREAM, UPSTREAM, BOTH = LineageDirection.DOWNSTREAM, LineageDirection.UPSTREAM, LineageDirection.BOTH


def request(
    direction: LineageDirection = BOTH, depth: int = 10, limit: int = 1_000, selection: NodeSelection = SELECTION
) -> LineageRequest:
    return LineageRequest(direction, depth, limit, selection)


async def walked(viewer: Viewer, starts: list[documents.Document], request: LineageRequest) -> list[Row]:
    """The lineages from some documents."""
    rows = [await find_rows(collection_of(type(one)), {"_id": one.id}, reference_fields(type(one))) for one in starts]
    return await lineages(rows, viewer, request)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    size=st.integers(1, 8),
    direction=st.sampled_from(LineageDirection),
    depth=st.one_of(st.integers(1, 4), st.just(100)),
    limit=st.one_of(st.integers(1, 12), st.just(10_000)),
    raw=st.booleans(),
)
async def test_from_every_node_every_viewer_finds_what_networkx_finds_in_the_visible_part(
    seed: int, size: int, direction: LineageDirection, depth: int, limit: int, raw: bool
) -> None:
    graph = RandomGraph(random.Random(seed), size)
    await keep(*graph.kept)
    selection = replace(SELECTION, raw_bson=lambda document: raw)

    for viewer in graph.viewers.values():
        starts = graph.starts(viewer)
        found = await walked(viewer, starts, request(direction, depth, limit, selection))

        for start, lineage in zip(starts, found, strict=True):
            expected = graph.expected(start.id, viewer, direction, depth, limit)
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
