"""Nodes of a walk, as an answer shows them."""

from collections.abc import Collection, Sequence
from typing import overload

from resolvers.provenance.lineage.frontier import Walk
from resolvers.reads.rows import Row


class Nodes(Sequence[Row]):
    """The nodes of a walk, each a LineageNode as a row that is made when it is asked for."""

    def __init__(self, walk: Walk, more: Collection[str]) -> None:
        self._ids, self._distances, self._rows = list(walk.distances), walk.distances, walk.graph.rows
        self._more = more
        """The nodes that have further neighbours."""

    def __len__(self) -> int:
        return len(self._ids)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, int):
            return self._row(self._ids[place])
        return [self._row(id) for id in self._ids[place]]

    def _row(self, id: str) -> Row:
        return {"node": self._rows[id], "distance": self._distances[id], "has_more": id in self._more}
