"""Pages whose rows may be of several kinds, as the rows of a connection: one page for each parent."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pydantic import BaseModel, Field

from resolvers.access.viewer import Viewer
from resolvers.filters import Filter
from resolvers.provenance.references import document_of
from resolvers.reads.counts import count_children
from resolvers.reads.node_selection import NodeSelection
from resolvers.reads.order import Order
from resolvers.reads.page_request import Page, PageRequest, page_request
from resolvers.reads.relations import Children, Document
from resolvers.reads.rows import Row

Count = Callable[[list[Row], Viewer], Awaitable[list[int | None]]]
"""The number of rows in the list of each parent, None beyond the cap."""
ReadPages = Callable[[Document, list[Row], "ConnectionRead"], Awaitable[list[Row]]]
"""A page row for each of some parents of a kind."""


class NodeEdge(BaseModel):
    """A row with its cursor."""

    node: Any
    cursor: str


class NodePage(BaseModel):
    """A page of the list of one parent, by the parent's id, and the function that counts the list."""

    id: str = Field(alias="_id")
    parent: Any
    nodes: Any
    page: Any
    page_info: Any
    count: Any


@dataclass(frozen=True)
class ConnectionRead:
    """The read of a connection: its viewer, its arguments, and the fields that its rows need."""

    viewer: Viewer
    fields_of: NodeSelection
    arguments: dict[str, Any]

    def page_request(self, scope: str, order: Order, filter: Filter | None = None) -> PageRequest:
        """The requested page. `scope` binds its cursors to lists of one sort. Raises InvalidInput and BadCursor."""
        return page_request(**self.arguments, collection=scope, order=order, filter=filter or {})


def page_rows(parents: list[Row], pages: list[Page], count: Count) -> list[Row]:
    """The pages of the parents as rows. `count` counts their whole lists."""
    return [
        {
            "_id": parent["_id"],
            "parent": parent,
            "nodes": page.rows,
            "page": page,
            "page_info": page.info,
            "count": count,
        }
        for parent, page in zip(parents, pages, strict=True)
    ]


async def pages_by_kind(parents: list[Row], pages_of: ReadPages, read: ConnectionRead) -> list[Row]:
    """The page row of each parent. `pages_of` reads those of one kind, and is called for all kinds concurrently."""
    groups: defaultdict[Document, list[Row]] = defaultdict(list)
    for parent in parents:
        groups[document_of(parent["_id"])].append(parent)
    pages = await asyncio.gather(*(pages_of(kind, rows, read) for kind, rows in groups.items()))
    by_id = {page["_id"]: page for group in pages for page in group}
    return [by_id[parent["_id"]] for parent in parents]


def edges(pages: list[Row], viewer: Viewer) -> list[list[Row]]:
    """The rows of each page with their cursors."""
    return [[{"node": row, "cursor": page["page"].cursor(row)} for row in page["nodes"]] for page in pages]


async def total_counts(pages: list[Row], viewer: Viewer) -> list[int | None]:
    """The number of rows in each page's list, None beyond the cap. Lists of one sort are counted together."""
    parents: defaultdict[Count, list[Row]] = defaultdict(list)
    for page in pages:
        parents[page["count"]].append(page["parent"])
    counts = await asyncio.gather(*(count(rows, viewer) for count, rows in parents.items()))
    rows = chain.from_iterable(parents.values())
    by_id = {row["_id"]: found for row, found in zip(rows, chain.from_iterable(counts), strict=True)}
    return [by_id[page["_id"]] for page in pages]


def count_linked(link: Children, filter: Filter | None = None) -> Count:
    """The function that counts the children of each parent that match a filter."""

    async def count(parents: list[Row], viewer: Viewer) -> list[int | None]:
        return await count_children(link, filter or {}, parents, viewer)

    return count
