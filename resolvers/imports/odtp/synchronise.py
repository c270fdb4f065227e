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
from resolvers.imports.odtp.imported_rows import ImportedState, Origin, is_stored, store_states
from resolvers.imports.odtp.rights import access_rights
from resolvers.imports.odtp.source_row import STEP_FAILED, SourceRow
from resolvers.imports.odtp.synchronised_fields import Merge, merge, revocations, synchronised_fields
from resolvers.imports.odtp.unique_names import UniqueNames, unique_field
from resolvers.imports.summary import Summary
from resolvers.reads.rows import Row, collection_of
from resolvers.twins.twin_rights import copy_rights, hide_below
from resolvers.user_errors import Refusal

Document = type[documents.Document]

CHANGE_MARKERS = ("revision", "updated_at", "error")
"""Fields that show whether a document was changed here if its imported values are unknown."""


@dataclass(frozen=True)
class ExistingRow:
    """A row whose document exists here: the row, the document built from it, the stored one, and the last state."""

    row: SourceRow
    built: documents.Document
    stored: Row
    last_state: Row | None


class Synchronisation:
    """Updates existing documents from their rows, and counts the outcomes."""

    def __init__(self, origin: Origin, summary: Summary, names: UniqueNames) -> None:
        self._origin, self._summary, self._names = origin, summary, names

    async def apply_changes(self, document: Document, existing: list[ExistingRow]) -> None:
        """Write the changes made in ODTP since the last import, except to fields that were changed here as well."""
        states = [state for row in existing if (state := await self._apply(document, row))]
        await store_states(self._origin, states)

    async def revoke_access(self, document: Document, row: SourceRow, stored: Row, last_state: Row | None) -> None:
        """Revoke the access that ODTP has revoked, in a document whose row is refused otherwise."""
        state, given = last_state and last_state["taken"], access_rights(document, row)
        changes = revocations(state, stored, given)
        existing = ImportedState(
            stored["_id"], row.collection, (state or synchronised_fields(document, stored)) | given
        )
        if changes and await self._update_if_unchanged(document, stored, existing, changes):
            self._summary.adjust(row.collection, row.display_id, ["It is refused, but hidden as in ODTP."])

    async def _apply(self, document: Document, existing: ExistingRow) -> ImportedState | None:
        """Write the changes of one document; returns the state that has yet to be recorded, if any."""
        row, state = existing.row, imported_state(existing.row, existing.built)
        result = merge(
            document,
            before=existing.last_state and existing.last_state["taken"],
            here=existing.stored,
            there=state.fields,
            changed_here=_changed_here(existing),
        )
        if result.kept:
            self._summary.keep(row.collection, row.display_id, result.kept)
        if not result.changes:
            self._summary.already[row.collection] += 1
            return None if is_stored(self._origin, state, existing.last_state) else state
        await self._make_name_unique(document, existing, result)
        await self._write(document, existing, state, result)
        return None

    async def _make_name_unique(self, document: Document, existing: ExistingRow, result: Merge) -> None:
        unique = unique_field(document)
        if unique not in result.changes:
            return
        noted = len(existing.row.notes)
        await self._names.make_unique(document, [(existing.row, existing.built)])
        result.changes[unique] = imported_state(existing.row, existing.built).fields[unique]
        if len(existing.row.notes) > noted:
            self._summary.adjust(existing.row.collection, existing.row.display_id, existing.row.notes[noted:])

    async def _write(self, document: Document, existing: ExistingRow, state: ImportedState, result: Merge) -> None:
        row, summary = existing.row, self._summary
        try:
            is_written = await self._update_if_unchanged(document, existing.stored, state, result.changes)
        except DuplicateKeyError:
            summary.refuse(row.collection, row.display_id, "Another document here has its name; import again.")
            await self.revoke_access(document, row, existing.stored, existing.last_state)
        except Refusal as refusal:
            summary.refuse(row.collection, row.display_id, refusal.message)
            await self.revoke_access(document, row, existing.stored, existing.last_state)
        else:
            if is_written:
                summary.update(row.collection, row.display_id, result.updated)
            else:
                summary.already[row.collection] += 1
                summary.keep(row.collection, row.display_id, ["It was changed here at the same time; import again."])

    async def _update_if_unchanged(self, document: Document, stored: Row, state: ImportedState, changes: Row) -> bool:
        """Write the changes and the imported state; returns False if the document was changed since it was read."""

        async def write(session: Session) -> bool:
            is_written = await _update(document, stored, changes, session)
            if is_written:
                await store_states(self._origin, [state], session)
            return is_written

        if document is not documents.DigitalTwin or changes.get("public") is not False:
            return await in_transaction(write)
        # Before the twin itself: if this import is interrupted, the next one still finds the twin to hide.
        await hide_below(state.target)
        is_written = await in_transaction(write)
        await hide_below(state.target)
        return is_written


def fields_to_compare(document: Document) -> list[str]:
    """The stored names of the fields to read of existing documents."""
    return [*synchronised_fields(document, {}), *CHANGE_MARKERS]


def imported_state(row: SourceRow, built: documents.Document) -> ImportedState:
    """The state of a row to record, with its fields in the form in which the database returns them."""
    document = type(built)
    dumped = get_dict(built, to_db=True, keep_nulls=document.get_settings().keep_nulls)
    fields: dict[str, Any] = bson.decode(
        bson.encode(synchronised_fields(document, dumped)), codec_options=collection_of(document).codec_options
    )
    return ImportedState(built.id, row.collection, fields)


def _changed_here(existing: ExistingRow) -> bool:
    """Whether a document was changed here, as far as its fields show."""
    stored, fields = existing.stored, type(existing.built).model_fields
    if "revision" in fields:
        return stored.get("revision") != 1
    if "updated_at" in fields:
        changed_there: datetime = existing.built.model_dump()["updated_at"].replace(tzinfo=None)
        return bool(stored.get("updated_at", datetime.max) > changed_there)
    error = stored.get("error")
    return error is not None and error["code"] != STEP_FAILED


async def _update(document: Document, stored: Row, changes: Row, session: Session) -> bool:
    """Update a document and those that depend on it; returns False if it was changed since it was read."""
    fields = document.model_fields.keys()
    change: Row = {"$set": changes | ({"updated_at": now()} if "updated_at" in fields else {})}
    if "revision" in fields:
        change["$inc"] = {"revision": 1}
    match = {"_id": stored["_id"]} | {name: stored.get(name) for name in changes}
    updated = await collection_of(document).update_one(match, change, session=session)
    if updated.matched_count and document is documents.DigitalTwin:
        await _propagate(stored["_id"], changes, session)
    return updated.matched_count == 1


async def _propagate(twin_id: str, changes: Row, session: Session) -> None:
    """Give the documents below a twin its new owner, and publish them if the twin was published."""
    if "userRef" in changes:
        await copy_rights(twin_id, {"ownerRef": changes["userRef"]}, session, people=2)
    if changes.get("public"):
        await copy_rights(twin_id, {"public": True}, session)
