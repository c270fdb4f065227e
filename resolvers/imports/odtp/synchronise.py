"""Updating imported documents with later changes in an ODTP database."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import bson
from beanie.odm.utils.dump import get_dict
from pymongo.errors import DuplicateKeyError

import documents
from documents.base import now
from documents.mongo.transaction import Session, in_transaction
from resolvers.imports.odtp.imported_rows import Origin, Taken, is_remembered, remember
from resolvers.imports.odtp.rights import rights
from resolvers.imports.odtp.source_row import STEP_FAILED, SourceRow
from resolvers.imports.odtp.synchronised_fields import Merge, merge, narrowed, synchronised_fields
from resolvers.imports.odtp.unique_names import Names, stored_unique
from resolvers.imports.summary import Summary
from resolvers.reads.rows import Row, collection_of
from resolvers.twins.twin_rights import copy_down, hide_below
from resolvers.user_errors import Refusal

Document = type[documents.Document]

ALSO = ("revision", "updated_at", "error")
"""Fields that show whether a document was changed here, where the imported values are unknown."""


@dataclass(frozen=True)
class Known:
    """A row that was imported before: as read now, as stored here, and as of the last import."""

    row: SourceRow
    made: documents.Document
    here: Row
    before: Row | None


class Synchronisation:
    """Updates documents from their rows, and counts the outcomes."""

    def __init__(self, origin: Origin, summary: Summary, names: Names) -> None:
        self._origin, self._summary, self._names = origin, summary, names

    async def take_over(self, document: Document, known: list[Known]) -> None:
        """Write changes made in ODTP since the last import, unless the same fields were changed here."""
        unwritten = [taken for one in known if (taken := await self._taken_over(document, one))]
        await remember(self._origin, unwritten)

    async def narrow(self, document: Document, row: SourceRow, here: Row, before: Row | None) -> None:
        """Revoke access that ODTP has revoked, in a document whose row cannot be taken over otherwise."""
        taken, given = before and before["taken"], rights(document, row)
        changes = narrowed(taken, here, given)
        known = Taken(here["_id"], row.collection, (taken or synchronised_fields(document, here)) | given)
        if changes and await self._is_written(document, here, known, changes):
            self._summary.adjust(row.collection, row.shown_id, ["It is refused, but hidden as in ODTP."])

    async def _taken_over(self, document: Document, known: Known) -> Taken | None:
        """Write the changes of one document; returns the state to be recorded, unless it is recorded already."""
        row, taken = known.row, taken_of(known.row, known.made)
        result = merge(
            document,
            before=known.before and known.before["taken"],
            here=known.here,
            there=taken.fields,
            changed_here=_changed_here(known),
        )
        if result.kept:
            self._summary.keep(row.collection, row.shown_id, result.kept)
        if not result.changes:
            self._summary.already[row.collection] += 1
            return None if is_remembered(self._origin, taken, known.before) else taken
        await self._settle_name(document, known, result)
        await self._write(document, known, taken, result)
        return None

    async def _settle_name(self, document: Document, known: Known, result: Merge) -> None:
        unique = stored_unique(document)
        if unique not in result.changes:
            return
        noted = len(known.row.notes)
        await self._names.make_unique(document, [(known.row, known.made)])
        result.changes[unique] = taken_of(known.row, known.made).fields[unique]
        if len(known.row.notes) > noted:
            self._summary.adjust(known.row.collection, known.row.shown_id, known.row.notes[noted:])

    async def _write(self, document: Document, known: Known, taken: Taken, result: Merge) -> None:
        row, summary = known.row, self._summary
        try:
            is_written = await self._is_written(document, known.here, taken, result.changes)
        except DuplicateKeyError:
            summary.refuse(row.collection, row.shown_id, "Another document here has its name; import again.")
            await self.narrow(document, row, known.here, known.before)
        except Refusal as refusal:
            summary.refuse(row.collection, row.shown_id, refusal.message)
            await self.narrow(document, row, known.here, known.before)
        else:
            if is_written:
                summary.update(row.collection, row.shown_id, result.updated)
            else:
                summary.already[row.collection] += 1
                summary.keep(row.collection, row.shown_id, ["It was changed here at the same time; import again."])

    async def _is_written(self, document: Document, here: Row, taken: Taken, changes: Row) -> bool:
        """Write the changes and record the imported state; False where the document has changed since it was read."""

        async def write(session: Session) -> bool:
            is_written = await _update(document, here, changes, session)
            if is_written:
                await remember(self._origin, [taken], session)
            return is_written

        if document is not documents.DigitalTwin or changes.get("public") is not False:
            return await in_transaction(write)
        # Before the twin itself is hidden: an interrupted import leaves the twin to the next one.
        await hide_below(taken.target)
        is_written = await in_transaction(write)
        await hide_below(taken.target)
        return is_written


def fields_to_compare(document: Document) -> list[str]:
    """The stored names of the fields to read of existing documents."""
    return [*synchronised_fields(document, {}), *ALSO]


def taken_of(row: SourceRow, made: documents.Document) -> Taken:
    """The recorded fields of a row, as they come back from the database."""
    document = type(made)
    dumped = get_dict(made, to_db=True, keep_nulls=document.get_settings().keep_nulls)
    fields: dict[str, Any] = bson.decode(
        bson.encode(synchronised_fields(document, dumped)), codec_options=collection_of(document).codec_options
    )
    return Taken(made.id, row.collection, fields)


def _changed_here(known: Known) -> bool:
    """Whether a document was changed here, as far as its own fields show."""
    here, has = known.here, type(known.made).model_fields
    if "revision" in has:
        return here.get("revision") != 1
    if "updated_at" in has:
        changed_there: datetime = known.made.model_dump()["updated_at"].replace(tzinfo=None)
        return bool(here.get("updated_at", datetime.max) > changed_there)
    error = here.get("error")
    return error is not None and error["code"] != STEP_FAILED


async def _update(document: Document, here: Row, changes: Row, session: Session) -> bool:
    """Update a document and the documents that follow it, unless it has changed since it was read; returns whether it
    was updated."""
    has = document.model_fields.keys()
    change: Row = {"$set": changes | ({"updated_at": now()} if "updated_at" in has else {})}
    if "revision" in has:
        change["$inc"] = {"revision": 1}
    match = {"_id": here["_id"]} | {name: here.get(name) for name in changes}
    updated = await collection_of(document).update_one(match, change, session=session)
    if updated.matched_count and document is documents.DigitalTwin:
        await _follow(here["_id"], changes, session)
    return updated.matched_count == 1


async def _follow(twin_id: str, changes: Row, session: Session) -> None:
    """Give the documents below a twin its new owner, and publish them where the twin was published."""
    if "userRef" in changes:
        await copy_down(twin_id, {"ownerRef": changes["userRef"]}, session, people=2)
    if changes.get("public"):
        await copy_down(twin_id, {"public": True}, session)
