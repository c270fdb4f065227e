"""Lineages of the objects of a level, as an answer shows them."""

from collections.abc import Sequence

from resolvers.access.viewer import Viewer
from resolvers.provenance.lineage import walk
from resolvers.provenance.lineage.lineage import LineageDirection, LineageRequest, check_lineage_bounds
from resolvers.provenance.lineage.starts import starts_of
from resolvers.reads.node_selection import NodeSelection
from resolvers.reads.rows import Row

DEFAULT_DEPTH, DEFAULT_LIMIT = 10, 1_000


async def lineages(
    rows: list[Row], viewer: Viewer, *, fields_of: NodeSelection, direction: str, depth: int, limit: int
) -> list[Row]:
    """The lineage of each row, by its id. All are walked together. Raises InvalidInput and AnswerTooLarge."""
    check_lineage_bounds(depth, limit)
    request = LineageRequest(LineageDirection(direction), depth, limit, fields_of)
    found = await walk.lineages(await starts_of(rows, viewer, limit), viewer, request)
    return [lineage | {"_id": row["_id"]} for row, lineage in zip(rows, found, strict=True)]


def nodes(lineages: list[Row], viewer: Viewer) -> list[Sequence[Row]]:
    """The nodes of each lineage."""
    return [lineage["nodes"] for lineage in lineages]


def edges(lineages: list[Row], viewer: Viewer) -> list[Sequence[Row]]:
    """The edges of each lineage."""
    return [lineage["edges"] for lineage in lineages]
