"""Random provenance graphs, and networkx's answer to what a walk finds in them."""

import random
from dataclasses import dataclass, field
from typing import Any

import networkx as nx

import documents
from documents.activities.activity import ActivityStatus
from documents.galaxy.generation import GenerationStatus
from documents.provenance.used import Used
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.provenance.lineage.lineage import LineageDirection
from tests.journeys.access_world import World
from tests.support import builders as new
from tests.support.lineage_world import a_document

ARTIFACTS = (
    documents.Archive,
    documents.Distribution,
    documents.ExternalData,
    documents.Generation,
    documents.Output,
    documents.Result,
)
NODES = (*ARTIFACTS, documents.Ingestion, documents.Step, documents.Transform)
Edge = tuple[str, str, str]


@dataclass
class Found:
    """What a viewer should find from a node."""

    distances: list[tuple[str, int]]
    edges: set[Edge]
    has_more: set[str]
    restricted: int


class VisiblePart:
    """The part of a graph that a viewer may see, as networkx sees it."""

    def __init__(self, edges: set[Edge], visible: set[str]) -> None:
        self.edges, self.visible = edges, visible
        whole = nx.DiGraph([(start, end) for start, end, _ in edges])
        whole.add_nodes_from(visible)
        downstream = whole.subgraph(visible).copy()
        self.ways = {"DOWNSTREAM": (downstream, whole, 1), "UPSTREAM": (downstream.reverse(), whole.reverse(), -1)}

    def expected(self, start: str, direction: LineageDirection, depth: int, limit: int) -> Found:
        """What the viewer should find from a start."""
        distances: dict[str, int] = {}
        visited = {}
        for way in direction.directions:
            graph, _, sign = self.ways[way.value]
            visited[way.value] = nx.single_source_shortest_path_length(graph, start, cutoff=depth)
            for id, steps in visited[way.value].items():
                if id not in distances or abs(distances[id]) > steps:
                    distances[id] = sign * steps
        shown = dict(sorted(distances.items(), key=lambda pair: (abs(pair[1]), pair[0]))[:limit])
        has_more, hidden = set(), set()
        for name, reached in visited.items():
            graph, whole, _ = self.ways[name]
            has_more |= {id for id in reached if id in shown and set(graph[id]) - shown.keys()}
            hidden |= {other for id in reached for other in whole[id]} - self.visible
        between = {edge for edge in self.edges if edge[0] in shown and edge[1] in shown}
        return Found(list(shown.items()), between, has_more, len(hidden))


@dataclass
class RandomGraph:
    """Nodes of all kinds, connected at random: in circles, with themselves, and with what others own."""

    chance: random.Random
    size: int
    kept: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        owner, reader, other = (new.a_user() for _ in range(3))
        self.twins = [new.a_twin(owner, reader_refs=[reader.id]), new.a_twin(other), new.a_twin(other, public=True)]
        self.instances = [new.an_instance(owner), new.an_instance(other, public=True)]
        self.kept += [owner, reader, other, *self.twins, *self.instances]
        worker = Viewer(Role.WORKER, "worker")
        self.viewers = {
            "owner": Viewer(Role.USER, owner.id),
            "reader": Viewer(Role.USER, reader.id),
            "worker": worker,
            "stranger": Viewer(Role.USER, "stranger"),
            "anonymous": ANONYMOUS,
            "admin": Viewer(Role.ADMIN),
        }
        for _ in range(self.size):
            self._add_run(worker, reader)
        for number in range(self.size // 3):
            self._add_ingestion()
            self._add_publication(number)
        self.kept += [new.external_data(owner) for _ in range(2)]
        self._use(ARTIFACTS)
        self.world = World(self.kept, self.viewers)
        self.edges = set(self._edges())

    def _add_run(self, worker: Viewer, reader: documents.User) -> None:
        """A step with its execution, outputs and a result."""
        chance = self.chance
        execution = new.an_execution(chance.choice(self.twins), runners=[worker.key] if chance.random() < 0.3 else [])
        step = new.a_step(execution, runners=execution.runners)
        named = [reader] if chance.random() < 0.2 else []
        outputs = [
            new.an_output(step, *named, public=chance.random() < 0.4, runners=step.runners)
            for _ in range(chance.randrange(3))
        ]
        earlier = self.all(documents.Output)
        gathered = chance.sample(earlier, min(len(earlier), 2))
        self.kept += [execution, step, *outputs, new.a_result(execution, [*outputs, *gathered])]

    def _add_ingestion(self) -> None:
        """An ingestion with its generation and parts of reports, some of which failed."""
        chance = self.chance
        instance = chance.choice(self.instances)
        archive = new.an_archive(instance)
        generation = new.a_generation(instance, status=GenerationStatus.RETIRED)
        ingestion = new.an_ingestion(instance, chance.choice([generation, *self.all(documents.Generation), None]))
        statuses = [ActivityStatus.SUCCEEDED, ActivityStatus.SUCCEEDED, ActivityStatus.FAILED]
        archives = chance.sample([archive, *self.all(documents.Archive)], 1)
        parts = [new.a_part(ingestion, one, status=chance.choice(statuses), holds=False) for one in archives]
        self.kept += [archive, generation, ingestion, *parts]

    def _add_publication(self, number: int) -> None:
        """A transform with the documents that it published, which everybody may see."""
        transform = documents.Transform(resource_ref=f"resource_{number}")
        refs = [f"{number}{one}" for one in range(self.chance.randrange(3))]
        published = [a_document(transform, dataset_ref=f"dataset_{ref}", version_ref=f"version_{ref}") for ref in refs]
        self.kept += [transform, *published]

    def _use(self, kinds: tuple[Any, ...]) -> None:
        """Let each step and transform use artifacts, its own among them."""
        artifacts = [one for kind in kinds for one in self.all(kind)]
        for activity in self.all(documents.Step, documents.Transform):
            used = self.chance.sample(artifacts, min(len(artifacts), self.chance.randrange(4)))
            activity.used = [Used(ref=one.id, assumed=self.chance.random() < 0.5) for one in used] or None

    def all(self, *kinds: Any) -> list[Any]:
        """Everything of these kinds."""
        return [one for one in self.kept if isinstance(one, kinds)]

    def _edges(self) -> list[Edge]:
        found: list[Edge] = []
        for one in self.kept:
            match one:
                case documents.Step() | documents.Transform():
                    found += [(used.ref, one.id, "USED") for used in one.used or []]
                case documents.Output():
                    found.append((one.step_ref, one.id, "GENERATED"))
                case documents.Distribution(transform_ref=str(transform)):
                    found.append((transform, one.id, "GENERATED"))
                case documents.Result():
                    found += [(output, one.id, "MEMBER") for output in one.output_refs]
                case documents.IngestionPart(status=ActivityStatus.SUCCEEDED):
                    found.append((one.archive_ref, one.ingestion_ref, "USED"))
                case documents.Ingestion(generation_ref=str(generation)):
                    found.append((one.id, generation, "GENERATED"))
        return found

    def starts(self, viewer: Viewer) -> list[Any]:
        """The nodes that a viewer may see, and data elsewhere, which is seen by those who see a run that used it."""
        return [
            one for one in self.all(*NODES) if isinstance(one, documents.ExternalData) or self.world.sees(viewer, one)
        ]

    def visible_part(self, viewer: Viewer) -> VisiblePart:
        """The part that a viewer may see."""
        return VisiblePart(self.edges, {one.id for one in self.starts(viewer)})
