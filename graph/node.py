"""Everything with an identity, and finding it by its id alone."""

from typing import Any

import strawberry
from strawberry.types import Info

import documents
from graph.projection import fields_below
from graph.view import NODE_VIEWS, VIEWS, interface, stored
from resolvers.fetch import Row
from resolvers.refusals import LimitExceeded

MOST_IDS = 100


@interface
class Node:
    """Everything with an identity. Ids are opaque to clients, stable for life, and prefixed by kind: dataset_…, step_…"""

    id: strawberry.ID = stored(description="Opaque, stable for life, prefixed by kind.")


async def find_node(info: Info, id: str) -> Row | None:
    """The row with this id, None when it is malformed, unknown, or not for this viewer."""
    document = documents.by_kind(id)
    if document is None or document.kind not in NODE_VIEWS or "\0" in id:
        return None
    fields = fields_below(info, NODE_VIEWS[document.kind])
    row: Row | None = await info.context.reader.node(document, id, fields)
    return row


@strawberry.type
class NodeQuery:
    @strawberry.field(
        description="The object with this id, null when it is unknown or not visible.", graphql_type=Node | None
    )
    async def node(self, info: Info, id: strawberry.ID) -> Any:
        return await find_node(info, id)

    @strawberry.field(
        description="Same order and length as ids; null where unknown or not visible. At most 100.",
        graphql_type=list[Node | None],
    )
    async def nodes(self, info: Info, ids: list[strawberry.ID]) -> Any:
        if len(ids) > MOST_IDS:
            raise LimitExceeded(f"nodes takes at most {MOST_IDS} ids, not {len(ids)}.", code="LIMIT_EXCEEDED")
        import asyncio

        return await asyncio.gather(*(find_node(info, id) for id in ids))


VIEWS["Node"] = Node
