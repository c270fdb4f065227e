"""Rows of one transaction: inserted, read as far as the viewer may, locked, and updated when they are as expected."""

from typing import Any

import bson
from pymongo.errors import DuplicateKeyError

import documents
from documents.base import now
from documents.mongo.transaction import Session
from resolvers.access.policies import readable
from resolvers.access.viewer import Viewer
from resolvers.reads.relations import Document
from resolvers.reads.rows import Row, collection_of
from resolvers.reads.successors import successor
from resolvers.user_errors import NotFound, RevisionConflict
from resolvers.writes.transaction import RetryTransaction


async def insert(document: documents.Document, session: Session) -> Row:
    """Insert a new document and return its row."""
    await document.insert(session=session)
    row = await collection_of(type(document)).find_one({"_id": document.id}, session=session)
    if row is None:
        raise LookupError(document.id)
    return row


async def insert_or_retry(document: documents.Document, session: Session) -> Row:
    """Insert a new document and return its row; if it exists by now, the work is retried and finds it."""
    try:
        return await insert(document, session)
    except DuplicateKeyError as error:
        raise RetryTransaction from error


async def get_readable(document: Document, id: str, viewer: Viewer, session: Session, *path: str) -> Row:
    """The row with this id, or the one that it was merged into.

    Raises NotFound when it is malformed, unknown or hidden from the viewer alike.
    """
    row = await _readable_row(document, id, viewer, session)
    if row is None and (present := await successor(document, "_id", id, session)):
        row = await _readable_row(document, present, viewer, session)
    if row is None:
        raise NotFound(document.__name__, id, *path)
    return row


async def _readable_row(document: Document, id: str, viewer: Viewer, session: Session) -> Row | None:
    filters = [{"_id": id}, readable(document, viewer)]
    row: Row | None = await collection_of(document).find_one({"$and": filters}, session=session)
    return row


async def lock_row(document: Document, id: str, counter: str, session: Session) -> Row:
    """Lock a row for this transaction by incrementing a counter, so that concurrent transactions conflict; returns the
    row.

    Raises NotFound.
    """
    row: Row | None = await collection_of(document).find_one_and_update(
        {"_id": id}, {"$inc": {counter: 1}}, return_document=True, session=session
    )
    if row is None:
        raise NotFound(document.__name__, id)
    return row


async def update(
    document: Document, row: Row, changes: dict[str, Any], expected_revision: int | None, session: Session
) -> Row:
    """Apply `changes`, by stored name, as one conditional write that raises the revision. Raises RevisionConflict.

    `row` is the whole row as this transaction reads it. If it has these values already, nothing is written, so that the
    revision and the time of the last change reflect real changes only.
    """
    if expected_revision in (None, row["revision"]) and _has(row, changes):
        return row
    collection = collection_of(document)
    match = {"_id": row["_id"]} | ({} if expected_revision is None else {"revision": expected_revision})
    updated: Row | None = await collection.find_one_and_update(
        match,
        {"$set": changes | {"updated_at": now()}, "$inc": {"revision": 1}},
        return_document=True,
        session=session,
    )
    if updated is not None:
        return updated
    current = await collection.find_one({"_id": row["_id"]}, session=session)
    if current is None or expected_revision is None:
        raise NotFound(document.__name__, row["_id"], "id")
    raise RevisionConflict(document.__name__, expected_revision, current)


def _has(row: Row, values: Row) -> bool:
    """Whether the row has these values, compared as they are stored: times to the millisecond, without a zone."""
    return bson.decode(bson.encode(values)) == {name: row.get(name) for name in values}
