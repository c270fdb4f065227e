"""Reads of nodes and their neighbours, for many nodes at once and on behalf of a viewer."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Iterator
from math import ceil
from typing import Any

from resolvers.access.viewer import Viewer
from resolvers.filters import Filter, all_of
from resolvers.limits import MAX_LINEAGE_NODES
from resolvers.provenance.lineage.graph import ProvenanceGraph
from resolvers.provenance.lineage.joins import join_stages
from resolvers.provenance.references import (
    SEEN_THROUGH_EDGES,
    Direction,
    Join,
    Reference,
    by_document,
    joins_from,
    reference_fields,
    references_to,
)
from resolvers.reads.node_selection import NodeSelection
from resolvers.reads.relations import Document
from resolvers.reads.rows import ALL_FIELDS, BATCH_SIZE, Fields, Row, collection_of, find_rows
from resolvers.reads.semi_join import policy_filter

MAX_IDS_PER_FIND = 1_000
MIN_IDS_TO_SPLIT = 400
"""From so many ids on a find is split in two, on which the database works at the same time."""
MAX_IDS_IN_ORDER = 100
"""For up to so many ids, an index is read in the order of the rows' ids, so that a limit ends the find early. For more
that takes twice as long."""
MIN_IDS_TO_LOOK_FOR_USE = 20
"""From so many ids on, the database is asked whether any row at all stores a reference, before more are looked up."""
CONCURRENT_FINDS = 8
ID_ONLY: Fields = frozenset({"_id"})

Read = Coroutine[Any, Any, object]
"""A read that may run beside others."""
Wanted = dict[str, frozenset[int]]
"""Nodes whose neighbours are wanted, each with the numbers of the walks that want them."""


class NeighbourReader:
    """Reads nodes into a graph. Methods with plural names return reads that may run side by side, see `run`."""

    def __init__(self, graph: ProvenanceGraph, viewer: Viewer, selection: NodeSelection) -> None:
        self.graph, self.viewer, self.selection = graph, viewer, selection
        self._slots = asyncio.Semaphore(CONCURRENT_FINDS)
        self._fields_of: dict[Document, Fields] = {}
        self._is_used: dict[Reference, bool] = {}
        """Whether any row stores a reference, as far as it was looked up."""

    def lookups(self, ids: set[str]) -> Iterator[Read]:
        """Reads of the nodes with these ids that the viewer may see, being neighbours of visible ones."""
        self.graph.looked_up |= ids
        for document, of_kind in by_document(ids).items():
            for chunk in split(of_kind):
                yield self._look_up(document, chunk)

    def start_lookups(self, ids: Iterable[str]) -> Iterator[Read]:
        """Reads of nodes that the viewer has been shown already, so that no policy hides them."""
        for document, of_kind in by_document(ids).items():
            for chunk in split(of_kind):
                yield self._look_up(document, chunk, policy={})

    def expansions(self, wanted: Wanted, direction: Direction, limit: int) -> Iterator[Read]:
        """Reads of the nodes in a direction that refer to the wanted ones, or that a join leads to.

        Where there are many of them, at least the first `limit` and one more, by id, are read for each walk.
        """
        self.graph.complete[direction].update(wanted)
        for document, of_kind in by_document(wanted).items():
            references = self.used_references_to(document, direction)
            if len(of_kind) >= MIN_IDS_TO_LOOK_FOR_USE:
                yield from (self._look_for_use(one) for one in references if one not in self._is_used)
            for chunk in split(of_kind):
                of_chunk = {id: wanted[id] for id in chunk}
                yield from (self._expand(one, of_chunk, limit) for one in references)
                yield from (self._expand_join(one, chunk, direction) for one in joins_from(document, direction))

    def used_references_to(self, document: Document, direction: Direction) -> list[Reference]:
        """The references to nodes of a kind from a direction, but for those that no row is known to store."""
        return [one for one in references_to(document, direction) if self._is_used.get(one, True)]

    async def _look_for_use(self, reference: Reference) -> None:
        """Find out whether any row stores a reference: a publisher has no steps, and a researcher no transforms."""
        any_text = {reference.path: {"$gt": ""}}
        rows = await self.find(reference.document, any_text, ID_ONLY, limit=1, index=reference.index)
        self._is_used[reference] = bool(rows)

    async def _look_up(self, document: Document, ids: list[str], policy: Filter | None = None) -> None:
        policy = await self.policy(document) if policy is None else policy
        self.graph.add(document, await self.find(document, all_of([{"_id": {"$in": ids}}, policy])))

    async def _expand(self, reference: Reference, wanted: Wanted, limit: int) -> None:
        """Read the rows that refer to the wanted nodes: all, or those that each walk needs when there are more."""
        ids, walks = list(wanted), frozenset[int]().union(*wanted.values())
        in_order, most = len(ids) <= MAX_IDS_IN_ORDER, min(limit * len(walks), MAX_LINEAGE_NODES)
        rows = await self.referring_rows(reference, ids, most + 1, in_order=in_order)
        if len(rows) <= most:
            return self.graph.add_referring(reference, rows, wanted)
        self.graph.complete[reference.direction.opposite].difference_update(ids)
        if in_order and len(walks) == 1:
            return self.graph.add_referring(reference, rows, wanted)
        parts = {tuple(part) for of_walk in _by_walk(wanted) for part in split(of_walk, MAX_IDS_IN_ORDER)}
        await self.run(self._expand_in_order(reference, list(part), limit) for part in sorted(parts))

    async def _expand_in_order(self, reference: Reference, ids: list[str], limit: int) -> None:
        rows = await self.referring_rows(reference, ids, limit + 1, in_order=True)
        self.graph.add_referring(reference, rows, set(ids))

    async def _expand_join(self, join: Join, ids: list[str], direction: Direction) -> None:
        document, _ = join.target(direction)
        stages = join_stages(join, ids, direction, await self.policy(document), self._fields(document))
        rows = await self.aggregate(join.document, stages, raw_bson=self.selection.raw_bson(document))
        if len(rows) > MAX_LINEAGE_NODES:
            self.graph.truncated[direction].update(ids)
        self.graph.add_joined(document, rows, join.kind, direction)

    async def referring_rows(
        self, reference: Reference, ids: list[str], limit: int, *, in_order: bool, fields: Fields | None = None
    ) -> list[Row]:
        """Rows that the viewer may see and that refer to one of these ids; `in_order` of their own ids."""
        match = all_of([{reference.path: {"$in": ids}}, await self.policy(reference.document)])
        sort = [("_id", 1)] if in_order else None
        return await self.find(reference.document, match, fields, sort=sort, limit=limit, index=reference.index)

    def _fields(self, document: Document) -> Fields:
        """The fields that were asked for of a kind of node, and those that a walk needs."""
        if document not in self._fields_of:
            fields = self.selection.fields_of(document)
            whole = fields == ALL_FIELDS
            self._fields_of[document] = fields if whole else _without_subpaths(fields | reference_fields(document))
        return self._fields_of[document]

    async def policy(self, document: Document) -> Filter:
        """The viewer's policy for nodes of a kind to which an edge leads from a visible node."""
        return {} if document in SEEN_THROUGH_EDGES else await policy_filter(document, self.viewer)

    async def find(self, document: Document, match: Filter, fields: Fields | None = None, **options: Any) -> list[Row]:
        """The rows of a find, with the fields of nodes unless others are given."""
        collection = collection_of(document, raw_bson=fields is None and self.selection.raw_bson(document))
        async with self._slots:
            return await find_rows(collection, match, self._fields(document) if fields is None else fields, **options)

    async def aggregate(self, document: Document, stages: list[Row], *, raw_bson: bool = False) -> list[Row]:
        """The rows of an aggregation."""
        collection = collection_of(document, raw_bson=raw_bson)
        async with self._slots, await collection.aggregate(stages, batchSize=BATCH_SIZE) as cursor:
            return await cursor.to_list()

    async def run(self, reads: Iterable[Read]) -> list[Any]:
        """The results of reads that run side by side. When one fails, the others are awaited, so that none outlives
        the walk."""
        results = await asyncio.gather(*_all(reads), return_exceptions=True)
        error = next((result for result in results if isinstance(result, BaseException)), None)
        try:
            if error is not None:
                raise error
            return results
        finally:
            # Otherwise its traceback and this frame refer to each other, which keeps the rows until they are collected.
            del results, error


def _all(reads: Iterable[Read]) -> list[Read]:
    """The reads. When making one of them fails, those before it are closed, as nobody will await them."""
    made: list[Read] = []
    try:
        made.extend(reads)
    except Exception:
        for read in made:
            read.close()
        raise
    return made


def split(ids: list[str], size: int | None = None) -> list[list[str]]:
    """The ids in parts of at most `size`, or MAX_IDS_PER_FIND; in two where they are many enough.

    Each part takes ids from the whole range: older nodes have more neighbours than newer ones, and ids begin with the
    time at which they were made, so that parts in a row would differ in the work that they are.
    """
    size = size or MAX_IDS_PER_FIND
    least = 2 if len(ids) >= MIN_IDS_TO_SPLIT else 1
    parts = max(least, ceil(len(ids) / size))
    return [ids[start::parts] for start in range(min(parts, len(ids)))]


def _by_walk(wanted: Wanted) -> list[list[str]]:
    """The nodes that each walk wants."""
    by_walk: defaultdict[int, list[str]] = defaultdict(list)
    for id, walks in wanted.items():
        for walk in walks:
            by_walk[walk].append(id)
    return list(by_walk.values())


def _without_subpaths(paths: Fields) -> Fields:
    """The paths without those below another one, since MongoDB refuses both in one projection."""
    parents = {path: path.split(".")[:-1] for path in paths}
    return frozenset(
        path
        for path, names in parents.items()
        if not any(".".join(names[:end]) in paths for end in range(1, len(names) + 1))
    )
