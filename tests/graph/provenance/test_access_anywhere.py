"""In arbitrary graphs, viewers are shown lineages and staleness as if the rest did not exist."""

import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import documents
from documents.mongo.database import Database
from resolvers.provenance.lineage.lineage import LineageDirection
from tests.journeys.access_world import World
from tests.resolvers.provenance.lineage.random_graphs import NODES, RandomGraph
from tests.support import builders as new
from tests.support.asking import ADMIN, answer, as_written, by_reference, without_comparison
from tests.support.builders import keep

PAGE = "nodes { id caption } pageInfo { hasNextPage endCursor } totalCount"
LINEAGE = """lineage(direction: $direction, depth: $depth, limit: $limit) {
  nodes { distance hasMore node { id caption } } edges { fromId toId kind isAssumed } truncatedBy"""
ASK = f"""query ($ids: [ID!]!, $direction: LineageDirection!, $depth: Int!, $limit: Int!) {{ nodes(ids: $ids) {{ id
  ... on Traceable {{ {LINEAGE} }} }}
  ... on Activity {{ used(first: 2) {{ {PAGE} }} generated(first: 2) {{ {PAGE} }} }}
  ... on Artifact {{ usedBy(first: 2) {{ {PAGE} }} staleness {{ status causes {{ kind node {{ id }} used latest }} }}
    provenance {{ generatedBy {{ id }} code {{ commit }} parameters derivedFrom(first: 2) {{ {PAGE} }} }} }} }}
  codeImpact(repository: "{new.REPOSITORY}", commits: ["{new.COMMIT[:7]}"], first: 3) {{ {PAGE} }} }}"""


class Graph(RandomGraph):
    """A random graph whose steps ran one of two versions of a component, the earlier of which is out of date."""

    def __post_init__(self) -> None:
        super().__post_init__()
        component = new.a_component()
        old, latest = new.a_component_version(component), new.a_component_version(component, commit_hash="b2" * 20)
        component.latest_version_ref = latest.id
        for step in self.all(documents.Step):
            step.component_version_ref = self.chance.choice([old, latest]).id
        self.kept += [component, old, latest]


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32),
    size=st.integers(1, 4),
    name=st.sampled_from(["owner", "reader", "worker", "stranger", "anonymous"]),
    direction=st.sampled_from(LineageDirection),
    depth=st.integers(1, 4),
    limit=st.one_of(st.integers(1, 12), st.just(10_000)),
)
async def test_any_viewer_of_any_graph_sees_it_as_if_the_rest_were_not_there(
    database: Database, seed: int, size: int, name: str, direction: LineageDirection, depth: int, limit: int
) -> None:
    graph = Graph(random.Random(seed), size)
    world, viewer = World(graph.kept, graph.viewers), graph.viewers[name]
    ids = world.ids(*(kind for kind in NODES if kind is not documents.ExternalData))[:100]
    asked: dict[str, Any] = {"ids": ids, "direction": direction.value, "depth": depth, "limit": limit}
    await world.begin()

    with without_comparison():
        seen = await answer(ASK, viewer, **asked)

    await world.forget(viewer)
    # Who sees a run sees the data elsewhere that it used, even where that is hidden otherwise.
    await keep(*(one for one in world.hidden(viewer) if isinstance(one, documents.ExternalData)))
    assert seen == as_written(await by_reference(ASK, ADMIN, **asked))
