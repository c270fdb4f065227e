"""Lineages in the GraphQL schema: what an object was made from, and what was made of it."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import strawberry

from graph.core.enums import describe_enum
from graph.core.view import argument, computed, held_nodes, stored, view
from resolvers.limits import MAX_LINEAGE_DEPTH, MAX_LINEAGE_NODES
from resolvers.provenance import references
from resolvers.provenance.lineage import lineage, lineages
from resolvers.provenance.lineage.starts import start_fields

if TYPE_CHECKING:
    from graph.provenance.traceable import Traceable

LineageDirection = describe_enum(
    lineage.LineageDirection,
    "The direction in which to follow the provenance graph.",
    UPSTREAM="To what the object was made from.",
    DOWNSTREAM="To what was made from the object.",
    BOTH="In both directions, but never sideways: not to other things that were made from the same.",
)
LineageEdgeKind = describe_enum(
    references.LineageEdgeKind,
    "The meaning of an edge.",
    USED="The activity at the edge's end read the artifact at its beginning.",
    GENERATED="The activity at the edge's beginning made the artifact at its end.",
    MEMBER="The output at the edge's beginning is gathered in the result at its end.",
    DERIVED="The artifact at the edge's end was made from the one at its beginning; nobody said how.",
)
LineageTruncation = describe_enum(
    lineage.LineageTruncation,
    "A reason why a lineage may not be complete.",
    DEPTH="Something is further away than depth.",
    LIMIT="There are more nodes than limit.",
    DEADLINE="The time of the request was nearly over.",
    DEGREE="A node has more neighbours than the 10,000 that are recorded or looked at.",
)


@view(lineage.LineageNode)
class LineageNode:
    """An object in a lineage."""

    node: "Traceable" = held_nodes(description="The object itself.")
    distance: int = stored(
        description="Number of edges between the object and the nearest one at which the lineage begins; negative "
        "upstream."
    )
    has_more: bool = stored(
        description="Whether the object has further neighbours, in the direction asked for, that you may see and that "
        "are not in the lineage."
    )


@view(lineage.LineageEdge)
class LineageEdge:
    """An edge of the provenance graph, in the direction in which data flows."""

    from_id: strawberry.ID = stored(description="Id of the object from which the edge leads.")
    to_id: strawberry.ID = stored(description="Id of the object to which the edge leads.")
    kind: LineageEdgeKind = stored(description="The meaning of the edge.")  # type: ignore[valid-type]
    is_assumed: bool = stored(
        "assumed", description="Whether the artifact's exact state was not recorded, so that it is assumed."
    )


@view(lineage.Lineage)
class Lineage:
    """The part of the provenance graph around an object."""

    nodes: list[LineageNode] = computed(
        lineages.nodes,
        "nodes",
        description="The objects, each once: by distance, then by id. The first, at distance 0, is the object itself; "
        "for a dataset, a version, an execution or a component version, the artifacts and steps that stand for it.",
    )
    edges: list[LineageEdge] = computed(
        lineages.edges, "edges", description="All edges between the objects of the lineage."
    )
    truncated_by: list[LineageTruncation] = stored(  # type: ignore[valid-type]
        description="Reasons why the lineage may not be complete. Look here before you conclude that nothing depends "
        "on an object: only an empty list says that this is all of it."
    )
    restricted: int | None = stored(
        description="Number of neighbours of these objects that you may not see, of which nothing else is told; at "
        "most 1,000 are counted. Null for anonymous callers, and when there was no time to count."
    )
    as_of: datetime = stored(description="When the lineage was read. Nothing that was written later is in it.")


def lineage_field() -> Any:
    """The lineage of an object."""
    return computed(
        lineages.lineages,
        stored_paths_of=start_fields,
        finds_nodes=True,
        arguments=[
            argument(
                "direction",
                LineageDirection,
                description="The direction in which to follow the graph.",
                default=lineage.LineageDirection.BOTH,
            ),
            argument(
                "depth",
                int,
                description=f"Greatest number of edges away from the object, 1 to {MAX_LINEAGE_DEPTH}.",
                default=lineages.DEFAULT_DEPTH,
            ),
            argument(
                "limit",
                int,
                description=f"Greatest number of objects, 1 to {MAX_LINEAGE_NODES:,}. The nearest are taken first, "
                "and those of one distance by id.",
                default=lineages.DEFAULT_LIMIT,
            ),
        ],
        description="What the object was made from and what was made of it, as far as you may see: breadth first, "
        "each object once. No path leads through an object that you may not see.",
    )
