"""Importing a collection: reading its rows in batches, building documents, writing new and changed ones."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from beanie.odm.utils.dump import get_dict
from bson.codec_options import CodecOptions, DatetimeConversion
from pydantic import ValidationError
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError

import documents
from resolvers.imports.odtp.imported_rows import Origin, deleted_targets, imported_states, store_states
from resolvers.imports.odtp.source_row import RowError, SourceRow
from resolvers.imports.odtp.synchronise import ExistingRow, Synchronisation, fields_to_compare, imported_state
from resolvers.imports.odtp.unique_names import UniqueNames
from resolvers.imports.summary import Note, Summary, quantity
from resolvers.reads.rows import collection_of
from resolvers.user_errors import Refusal
from resolvers.writes.unique_index_errors import duplicate_key_errors

BATCH_SIZE = 1_000

Source = AsyncDatabase[dict[str, Any]]
Progress = Callable[[str, int, int], None]
Build = Callable[[SourceRow], documents.Document]
Prepare = Callable[[list[SourceRow]], Awaitable[Build]]
"""Looks up the references of rows, and returns a function that builds a document from each."""

LENIENT: CodecOptions[dict[str, Any]] = CodecOptions(
    # One bad row must not stop the others.
    unicode_decode_error_handler="replace",
    datetime_conversion=DatetimeConversion.DATETIME_CLAMP,
)


class ImportRun:
    """One import, with its progress and summary."""

    def __init__(self, source: Source, progress: Progress) -> None:
        self.source: Source = source.with_options(codec_options=LENIENT)
        self.summary = Summary()
        self.merged: dict[str, str] = {}
        """Ids of imported components whose repository a component here has already, with the id of that one."""
        self._progress = progress
        self.origin = Origin.of(source)
        self._names = UniqueNames()
        self._synchronisation = Synchronisation(self.origin, self.summary, self._names)
        self._left_out: Counter[tuple[str, str]] = Counter()
        self._done: Counter[str] = Counter()
        self._totals: dict[str, int] = {}

    async def start_progress(self, collection: str) -> None:
        """Start reporting progress on a collection."""
        self._totals[collection] = await self.source[collection].estimated_document_count()
        self.advance(collection, 0)

    def advance(self, collection: str, rows: int) -> None:
        """Report that this many more rows of a collection have been processed."""
        self._done[collection] += rows
        self._progress(collection, self._done[collection], max(self._totals[collection], self._done[collection]))

    async def batches(
        self,
        collection: str,
        match: dict[str, Any] | None = None,
        fields: list[str] | None = None,
        size: int = BATCH_SIZE,
    ) -> AsyncIterator[list[SourceRow]]:
        """The rows of a source collection in the order of their ids, so that repeated imports proceed equally."""
        batch: list[SourceRow] = []
        async with self.source[collection].find(match or {}, fields, sort=[("_id", 1)], batch_size=size) as cursor:
            async for values in cursor:
                batch.append(SourceRow(collection, values))
                if len(batch) == size:
                    yield batch
                    batch = []
        if batch:
            yield batch

    async def import_collection(self, document: type[documents.Document], collection: str, prepare: Prepare) -> None:
        """Import every row of a collection."""
        await self.start_progress(collection)
        async for rows in self.batches(collection):
            await self.import_rows(document, rows, prepare)
            self.advance(collection, len(rows))

    async def import_rows(self, document: type[documents.Document], rows: list[SourceRow], prepare: Prepare) -> None:
        """Insert new rows, update those that exist here already, and count the outcomes."""
        by_id = self._rows_by_id(document, rows)
        if not by_id:
            return
        here = await stored_rows(document, by_id, *fields_to_compare(document))
        last_states = await imported_states(here)
        build = await prepare(list(by_id.values()))
        built = {id: (row, new) for id, row in by_id.items() if (new := self._build_document(row, build)) is not None}
        await self._insert_new(document, [built[id] for id in built if id not in here])
        existing = [ExistingRow(*built[id], here[id], last_states.get(id)) for id in built if id in here]
        await self._synchronisation.apply_changes(document, existing)
        for id in by_id.keys() & here.keys() - built.keys():
            await self._synchronisation.revoke_access(document, by_id[id], here[id], last_states.get(id))

    def refuse(self, row: SourceRow, reason: str) -> None:
        """Count a row as refused."""
        self.summary.refuse(row.collection, row.display_id, reason)

    async def report_deleted(self, collection: str) -> None:
        """Note the documents here whose rows have been deleted in the source."""
        async for target in deleted_targets(self.origin, self.source, collection):
            self.summary.count_gone(collection, target.partition("_")[2])

    def report_left_out(self) -> None:
        """Note each field that has no equivalent here, with the number of its rows."""
        for (collection, name), rows in sorted(self._left_out.items()):
            reason = f"The field {name} has no place here and was left out of {quantity(rows, 'row')}."
            self.summary.adjustments.append(Note(collection, "", reason))

    def _rows_by_id(self, document: type[documents.Document], rows: list[SourceRow]) -> dict[str, SourceRow]:
        """The rows by their ids here. Rows without a valid or unique id are refused."""
        by_id: dict[str, SourceRow] = {}
        for row in rows:
            try:
                id = row.id(document.kind)
            except RowError as error:
                self.refuse(row, str(error))
            else:
                if id in by_id:
                    self.refuse(row, "Its id, written as a text, is the same as that of another row.")
                by_id.setdefault(id, row)
        return by_id

    def _build_document(self, row: SourceRow, build: Build) -> documents.Document | None:
        try:
            return build(row)
        except (RowError, Refusal) as refusal:
            self.refuse(row, str(refusal))
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
            self.refuse(row, f"It does not fit: {wrong}.")
        return None

    async def _insert_new(
        self, document: type[documents.Document], built: list[tuple[SourceRow, documents.Document]]
    ) -> None:
        # Recorded as in ODTP, before a number is appended to names that are taken here.
        states = [imported_state(row, new) for row, new in built]
        await self._names.make_unique(document, built)
        failed = await self._insert(document, built)
        await store_states(self.origin, [state for place, state in enumerate(states) if place not in failed])

    async def _insert(
        self, document: type[documents.Document], built: list[tuple[SourceRow, documents.Document]]
    ) -> dict[int, str | None]:
        """Insert documents and count the outcomes; returns the indexes of those that were not inserted."""
        keep_nulls = document.get_settings().keep_nulls
        dumped = [get_dict(new, to_db=True, keep_nulls=keep_nulls) for _, new in built]
        failed = await insert_missing(document, dumped)
        for place, (row, _) in enumerate(built):
            if place not in failed:
                self.summary.take(row.collection, row.display_id, row.notes)
                self._left_out.update((row.collection, name) for name in row.unsupported_fields())
            elif failed[place] is None:
                self.summary.already[row.collection] += 1
            else:
                self.refuse(row, f"Another document here has the same {failed[place]}.")
        return failed


async def stored_rows(
    document: type[documents.Document], ids: Iterable[str], *fields: str
) -> dict[str, dict[str, Any]]:
    """The stored rows with these ids, by id, with only these fields."""
    unique_ids = list(dict.fromkeys(ids))
    if not unique_ids:
        return {}
    cursor = collection_of(document).find({"_id": {"$in": unique_ids}}, list(fields), batch_size=BATCH_SIZE)
    return {row["_id"]: row async for row in cursor}


async def insert_missing(document: type[documents.Document], rows: list[dict[str, Any]]) -> dict[int, str | None]:
    """Insert missing rows; returns the indexes of those that were not inserted.

    The value of an index is None if the id exists already, else the names of the fields whose values are taken. Rows
    that an interrupted import has not inserted are inserted by the next one.
    """
    if not rows:
        return {}
    try:
        await collection_of(document).insert_many(rows, ordered=False)
    except BulkWriteError as error:
        return {failure["index"]: _duplicate_fields(failure) for failure in duplicate_key_errors(error)}
    return {}


def _duplicate_fields(failure: dict[str, Any]) -> str | None:
    names = list(failure.get("keyPattern", {}))
    return None if names == ["_id"] else " and ".join(names)
