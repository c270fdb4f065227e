"""Node: every object with an id, and the queries that find it by that id."""

import strawberry

from graph.core.view import VIEWS, argument, interface, node_field, nodes_field, stored, view
from graph.limits import MAX_NODE_IDS


@interface
class Node:
    """An object with a globally unique id.

    Ids are opaque to clients, never change, and are prefixed by the kind of object: dataset_…, step_…
    """

    id: strawberry.ID = stored(description="The object's id: opaque, never changing, prefixed by the kind of object.")


@view()
class NodeQuery:
    node: Node | None = node_field(
        argument("id", strawberry.ID, description="The id to look up, as returned by the id field of an object."),
        description="The object of any type with this id. Null when no such object exists or you may not see it.",
    )
    nodes: list[Node | None] = nodes_field(
        argument(
            "ids",
            list[strawberry.ID],
            description="The ids to look up, as returned by the id fields of objects; at most 100.",
        ),
        max_ids=MAX_NODE_IDS,
        description="The objects of any type with these ids, in the same order and number as the ids. Null in place "
        "of each object that does not exist or that you may not see. At most 100 ids are accepted.",
    )


VIEWS["Node"] = Node
