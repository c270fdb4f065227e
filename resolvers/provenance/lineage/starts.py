"""The nodes from which the lineage of an object starts: the object itself, or the nodes that stand for it."""

from collections.abc import Iterable, Sequence

import documents
from documents.mongo.field_paths import Model
from resolvers.access.viewer import Viewer
from resolvers.limits import MAX_LINEAGE_NODES
from resolvers.provenance.references import reference_fields
from resolvers.reads.order import BY_ID, Order
from resolvers.reads.page_request import PageRequest, page_request
from resolvers.reads.pages import pages_of_children
from resolvers.reads.relations import Children, Document
from resolvers.reads.rows import Fields, Row

Chain = tuple[Children, ...]
"""The links that lead from an object to nodes."""

CURSOR_SCOPE = "lineage"

STAND_INS: dict[Document, tuple[Chain, ...]] = {
    documents.Dataset: (
        (
            Children(documents.DatasetVersion, "_id", of="latestVersionRef"),
            Children(documents.Distribution, "_id", of="distributionRef"),
        ),
    ),
    documents.DatasetVersion: ((Children(documents.Distribution, "_id", of="distributionRef"),),),
    documents.Execution: (
        (Children(documents.Step, "executionRef"), Children(documents.Output, "stepRef")),
        (Children(documents.Result, "executionRef"),),
    ),
    documents.ComponentVersion: ((Children(documents.Step, "component_version"),),),
}
"""Kinds of objects that are not nodes, and the ways to the nodes that stand for them."""


def start_fields(model: Model | None) -> Iterable[str]:
    """The stored fields of an object that its lineage needs."""
    document = next((one for one in documents.ALL if one is model), None)
    if document is None:
        return frozenset()
    return {chain[0].of for chain in STAND_INS[document]} if document in STAND_INS else reference_fields(document)


async def starts_of(rows: list[Row], viewer: Viewer, limit: int) -> list[list[Row]]:
    """For each row the nodes that stand for it and that the viewer may see, at least the first `limit` and one more by
    id if there are so many. A row of a node stands for itself."""
    by_document: dict[Document, list[Row]] = {}
    for row in rows:
        document = documents.by_kind(row["_id"])
        if document is not None and document in STAND_INS:
            by_document.setdefault(document, []).append(row)
    found: dict[str, list[Row]] = {}
    for document, of_kind in by_document.items():
        found |= await _stand_ins(document, of_kind, viewer, _first(limit + 1))
    return [found.get(row["_id"], [row]) for row in rows]


async def _stand_ins(document: Document, rows: list[Row], viewer: Viewer, first: PageRequest) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {row["_id"]: [] for row in rows}
    for chain in STAND_INS[document]:
        groups = [[row] for row in rows]
        for link, fields in zip(chain, _fields(chain), strict=True):
            groups = await _follow(link, groups, fields, viewer, first)
        for row, group in zip(rows, groups, strict=True):
            found[row["_id"]] += group
    return found


async def _follow(
    link: Children, groups: list[list[Row]], fields: Fields, viewer: Viewer, first: PageRequest
) -> list[list[Row]]:
    """The first rows to which a link leads from each group of rows."""
    parents = {row["_id"]: row for group in groups for row in group}
    pages = await pages_of_children(link, first, list(parents.values()), fields, viewer)
    children = dict(zip(parents, (page.rows for page in pages), strict=True))
    return [
        sorted((child for row in group for child in children[row["_id"]]), key=lambda child: str(child["_id"]))[
            : first.size
        ]
        for group in groups
    ]


def _fields(chain: Chain) -> Sequence[Fields]:
    """The fields to read at each link of a chain: the next link's, and in the end those that a walk needs."""
    return [*(frozenset({"_id", link.of}) for link in chain[1:]), reference_fields(chain[-1].document)]


def _first(size: int) -> PageRequest:
    order, max_size = Order((BY_ID,)), MAX_LINEAGE_NODES + 1
    return page_request(first=size, collection=CURSOR_SCOPE, order=order, filter={}, max_size=max_size)
