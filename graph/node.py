"""Everything with an identity, and finding it by its id alone."""

import strawberry

from graph.view import VIEWS, argument, by_id, by_ids, interface, stored, view

MOST_IDS = 100


@interface
class Node:
    """Everything with an identity.

    Ids are opaque to clients, stable for life, and prefixed by kind: dataset_…, step_…
    """

    id: strawberry.ID = stored(description="Opaque, stable for life, prefixed by kind.")


@view()
class NodeQuery:
    node: Node | None = by_id(
        argument("id", strawberry.ID, description="As an object's id field gave it."),
        description="The object with this id, null when it is unknown or not visible.",
    )
    nodes: list[Node | None] = by_ids(
        argument("ids", list[strawberry.ID], description="As the objects' id fields gave them."),
        most=MOST_IDS,
        description="Same order and length as ids; null where unknown or not visible. At most 100.",
    )


VIEWS["Node"] = Node
