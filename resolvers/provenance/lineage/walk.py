"""Walks through the provenance graph: breadth first, from many starts at once, for one viewer.

The walks of a request share what was read. In each round the neighbours of all their outermost nodes are read by finds
that run side by side, so a hundred walks take no more rounds than the deepest of them. Where too many nodes have the
same distance the first by id are taken, so that a lineage depends on the data alone.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

import pymongo
from pymongo.errors import PyMongoError, ServerSelectionTimeoutError

from documents.base import now
from documents.mongo.fast_find import remaining_timeout, timeout_error
from resolvers.access.viewer import Role, Viewer
from resolvers.concurrency import event_loop
from resolvers.provenance.lineage.boundary import Boundary
from resolvers.provenance.lineage.edges import Edges, add_joined_edges, referred_edges
from resolvers.provenance.lineage.frontier import Walk
from resolvers.provenance.lineage.graph import ProvenanceGraph
from resolvers.provenance.lineage.lineage import LineageRequest, LineageTruncation
from resolvers.provenance.lineage.neighbours import NeighbourReader, Read, Wanted
from resolvers.provenance.lineage.nodes import Nodes
from resolvers.provenance.lineage.restricted import RestrictedNeighbours
from resolvers.provenance.references import Direction, document_of
from resolvers.reads.rows import Row

WRITING_TIME = 1.0
"""Seconds of a request's time that are left for writing its answer."""


class DeadlinePassed(Exception):
    """The time of the request is nearly over."""


async def lineages(starts: Sequence[Sequence[Row]], viewer: Viewer, request: LineageRequest) -> list[Row]:
    """A lineage from each list of starts, which are rows that the viewer was shown, with their `reference_fields`.

    Each is a Lineage as a row. The answer is told the number of nodes so far before any further away are read. Raises
    AnswerTooLarge, and NetworkTimeout where there is no time to read the starts.
    """
    graph = ProvenanceGraph(request.direction.directions, single_walk=len(starts) == 1)
    reader = NeighbourReader(graph, viewer, request.selection)
    for row in chain.from_iterable(starts):
        graph.add_references(document_of(row["_id"]), [row["_id"]], [row])
    walks = [Walk((row["_id"] for row in rows), request, graph) for rows in starts]
    boundary, restricted = Boundary(reader, walks), RestrictedNeighbours(reader, walks)
    counts_restricted = request.shows_restricted and viewer.role is not Role.ANONYMOUS
    shows_bounds = request.shows_has_more or request.shows_truncation
    looks: list[Iterator[Read]] | None = None
    try:
        await _advance(walks, reader, request)
        looks = [boundary.reads()] * shows_bounds + [restricted.reads()] * counts_restricted
    except DeadlinePassed as error:
        if any(walk.distances.keys() - graph.rows.keys() for walk in walks):
            # There is nothing to show: only the references of the starts are known.
            raise timeout_error(WRITING_TIME) from error
    for row in chain.from_iterable(starts):
        graph.rows.setdefault(row["_id"], row)
    # The database looks beyond the nodes while the edges that their rows store are found.
    is_in_time, *edges = await reader.run([_look_beyond(reader, looks), *map(_referred_edges, walks)])
    found: list[Row] = []
    pairs = list(zip(walks, edges, strict=True))
    async for some in event_loop.weighted_batches(pairs, (len(walk.distances) for walk in walks)):
        found += [await _lineage(walk, of_walk, boundary if is_in_time else None) for walk, of_walk in some]
    if counts_restricted and is_in_time:
        for walk, lineage in zip(walks, found, strict=True):
            lineage["restricted"] = restricted.count(walk)
    as_of = now()
    return [lineage | {"as_of": as_of} for lineage in found]


async def _look_beyond(reader: NeighbourReader, looks: Iterable[Iterable[Read]] | None) -> bool:
    """Read what is beyond the nodes. Returns whether there was time for it, of which None says that there is none."""
    if looks is None:
        return False
    try:
        with _time_for_reads():
            await reader.run(chain.from_iterable(looks))
    except DeadlinePassed:
        return False
    return True


async def _referred_edges(walk: Walk) -> Edges:
    return await referred_edges(walk) if walk.request.shows_edges else Edges()


async def _advance(walks: list[Walk], reader: NeighbourReader, request: LineageRequest) -> None:
    """Let each walk go on until it ends or meets its bounds. Raises DeadlinePassed."""
    for distance in range(1, request.depth + 1):
        request.selection.expect_objects(sum(len(walk.distances) for walk in walks))
        going = [walk for walk in walks if walk.goes_on]
        with _time_for_reads():
            ids, wanted = await _next_lookups(going), {one: await _wanted(going, one) for one in Direction}
            await reader.run(_reads(walks if distance == 1 else [], wanted, ids, reader, request.limit))
            while ids := await _next_lookups(going):
                await reader.run(reader.lookups(ids))
        async for some in event_loop.weighted_batches(going, (walk.work for walk in going)):
            for walk in some:
                walk.advance(distance)
        if not going:
            break


def _reads(
    starting: list[Walk], wanted: dict[Direction, Wanted], lookups: set[str], reader: NeighbourReader, limit: int
) -> Iterator[Read]:
    """The reads of a round: of the starts, and of the neighbours of the outermost nodes."""
    yield from reader.start_lookups({id for walk in starting for id in walk.distances})
    for direction, nodes in wanted.items():
        yield from reader.expansions(nodes, direction, limit)
    yield from reader.lookups(lookups)


async def _next_lookups(walks: list[Walk]) -> set[str]:
    """The ids to look up before the walks can advance."""
    found: set[str] = set()
    async for some in event_loop.weighted_batches(walks, (walk.work for walk in walks)):
        found.update(*(walk.next_lookups() for walk in some))
    return found


async def _wanted(walks: list[Walk], direction: Direction) -> Wanted:
    """The outermost nodes whose neighbours in a direction were not read yet, with the walks that want them."""
    wanted: Wanted = {}
    async for some in event_loop.batches(list(enumerate(walks))):
        for number, walk in some:
            complete, own = walk.graph.complete[direction], frozenset((number,))
            # Most nodes are wanted by one walk: all of those share its set.
            new = {id: own for id in walk.frontiers.get(direction, ()) if id not in complete}
            wanted |= new | {id: wanted[id] | own for id in wanted.keys() & new}
    return wanted


async def _lineage(walk: Walk, edges: Edges, boundary: Boundary | None) -> Row:
    """The lineage that a walk found, of whose edges those of joins are still missing.

    Without a boundary there was no time to look whether it has more.
    """
    if walk.request.shows_edges:
        await add_joined_edges(edges, walk)
    more = await _nodes_with_more(walk, boundary) if walk.request.shows_has_more else frozenset[str]()
    truncated_by = _truncated_by(walk, boundary)
    return {
        "nodes": Nodes(walk, more),
        "edges": edges,
        "truncated_by": [bound for bound in LineageTruncation if bound in truncated_by],
        "restricted": None,
    }


async def _nodes_with_more(walk: Walk, boundary: Boundary | None) -> Collection[str]:
    more: set[str] = set()
    for direction in walk.directions:
        async for ids in event_loop.batches(walk.open_nodes(direction)):
            more.update(id for id in ids if boundary is None or boundary.has_more(walk, direction, id))
    return more


def _truncated_by(walk: Walk, boundary: Boundary | None) -> set[LineageTruncation]:
    bounds = set(walk.truncated_by)
    if boundary is None:
        return bounds | ({LineageTruncation.DEADLINE} if any(map(walk.open_nodes, walk.directions)) else set())
    if any(boundary.has_more(walk, one, id) for one in walk.directions for id in walk.deepest_nodes(one)):
        bounds.add(LineageTruncation.DEPTH)
    if any(walk.graph.truncated[one] & walk.visited[one] for one in walk.directions):
        bounds.add(LineageTruncation.DEGREE)
    return bounds


@contextmanager
def _time_for_reads() -> Iterator[None]:
    """End the reads in the block in time for the answer. Raises DeadlinePassed."""
    left = remaining_timeout()
    if left is None:
        yield
        return
    if left <= WRITING_TIME:
        raise DeadlinePassed
    try:
        with pymongo.timeout(left - WRITING_TIME):
            yield
    except PyMongoError as error:
        # No server at all is an outage, which no walk is long enough to explain.
        if error.timeout and not isinstance(error, ServerSelectionTimeoutError):
            raise DeadlinePassed from error
        raise
