"""Lookups of former ids and keys of rows that were merged into others.

They are made only for rows that were not found, so that finding existing rows costs nothing more.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import documents
from documents.mongo.transaction import Session
from resolvers.reads.relations import Document

FORMER: dict[Document, Document] = {documents.Organisation: documents.FormerOrganisation}
"""For each document whose rows can be merged, the document that records where former rows lead."""

Rows = dict[str, dict[str, Any]]


async def successors(
    document: Document, path: str, values: Iterable[str], session: Session | None = None
) -> dict[str, str]:
    """The ids of the rows that replaced others, by the former values at a unique path."""
    former = FORMER[document].get_pymongo_collection()
    cursor = former.find({path: {"$in": list(values)}}, {path: 1, "organisationRef": 1}, session=session)
    return {row[path]: row["organisationRef"] async for row in cursor}


async def successor(document: Document, path: str, value: str, session: Session) -> str | None:
    """The id of the row that replaced the one with this value at a unique path, None when there is none."""
    return (await successors(document, path, [value], session)).get(value) if document in FORMER else None


async def with_successors(
    found_rows: Awaitable[Rows],
    document: Document,
    path: str,
    values: list[str],
    read: Callable[[list[str]], Awaitable[Rows]],
) -> Rows:
    """Rows by value, and for former values the rows that replaced them, which `read` returns by their ids."""
    rows = await found_rows
    missing = [value for value in values if value not in rows]
    successor_ids = await successors(document, path, missing) if missing else {}
    if not successor_ids:
        return rows
    present = await read(sorted(set(successor_ids.values())))
    return rows | {value: present[id] for value, id in successor_ids.items() if id in present}
