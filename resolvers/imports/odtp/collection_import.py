"""Steps that the imports of all collections share: read a batch, build documents, write new and changed ones."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from beanie.odm.utils.dump import get_dict
from bson.codec_options import CodecOptions, DatetimeConversion
from pydantic import ValidationError
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError

import documents
from resolvers.imports.odtp.imported_rows import Origin, gone, remember, taken_before
from resolvers.imports.odtp.source_row import Refused, SourceRow
from resolvers.imports.odtp.synchronise import Known, Synchronisation, fields_to_compare, taken_of
from resolvers.imports.odtp.unique_names import Names
from resolvers.imports.summary import Note, Summary, counted
from resolvers.reads.rows import collection_of
from resolvers.user_errors import Refusal
from resolvers.writes.unique_index_errors import duplicates_in

BATCH = 1_000

Source = AsyncDatabase[dict[str, Any]]
Progress = Callable[[str, int, int], None]
Build = Callable[[SourceRow], documents.Document]
Prepare = Callable[[list[SourceRow]], Awaitable[Build]]
"""Looks up the references of rows, and returns a function that makes a document of each."""

LENIENT: CodecOptions[dict[str, Any]] = CodecOptions(
    # One bad row must not stop the others.
    unicode_decode_error_handler="replace",
    datetime_conversion=DatetimeConversion.DATETIME_CLAMP,
)


class Import:
    """One import under way."""

    def __init__(self, source: Source, progress: Progress) -> None:
        self.source: Source = source.with_options(codec_options=LENIENT)
        self.summary = Summary()
        self.merged: dict[str, str] = {}
        """Ids of components that exist here under another id, with that id."""
        self._progress = progress
        self.origin = Origin.of(source)
        self._names = Names()
        self._synchronisation = Synchronisation(self.origin, self.summary, self._names)
        self._left_out: Counter[tuple[str, str]] = Counter()
        self._done: Counter[str] = Counter()
        self._totals: dict[str, int] = {}

    async def expect(self, collection: str) -> None:
        """Begin to report progress on a collection."""
        self._totals[collection] = await self.source[collection].estimated_document_count()
        self.advance(collection, 0)

    def advance(self, collection: str, rows: int) -> None:
        """Report that some more rows of a collection have been processed."""
        self._done[collection] += rows
        self._progress(collection, self._done[collection], max(self._totals[collection], self._done[collection]))

    async def batches(
        self, collection: str, match: dict[str, Any] | None = None, fields: list[str] | None = None, size: int = BATCH
    ) -> AsyncIterator[list[SourceRow]]:
        """The rows of a source collection in order of their ids, so that every import does the same."""
        batch: list[SourceRow] = []
        async with self.source[collection].find(match or {}, fields, sort=[("_id", 1)], batch_size=size) as cursor:
            async for values in cursor:
                batch.append(SourceRow(collection, values))
                if len(batch) == size:
                    yield batch
                    batch = []
        if batch:
            yield batch

    async def take_all(self, document: type[documents.Document], collection: str, prepare: Prepare) -> None:
        """Import every row of a collection."""
        await self.expect(collection)
        async for rows in self.batches(collection):
            await self.take(document, rows, prepare)
            self.advance(collection, len(rows))

    async def take(self, document: type[documents.Document], rows: list[SourceRow], prepare: Prepare) -> None:
        """Insert new rows, update those that exist here, and count the outcomes."""
        named = self._by_id(document, rows)
        if not named:
            return
        here = await stored(document, named, *fields_to_compare(document))
        before = await taken_before(here)
        build = await prepare(list(named.values()))
        made = {id: (row, one) for id, row in named.items() if (one := self._made(row, build)) is not None}
        await self._take_new(document, [made[id] for id in made if id not in here])
        known = [Known(*made[id], here[id], before.get(id)) for id in made if id in here]
        await self._synchronisation.take_over(document, known)
        for id in named.keys() & here.keys() - made.keys():
            await self._synchronisation.narrow(document, named[id], here[id], before.get(id))

    def refuse(self, row: SourceRow, reason: str) -> None:
        """Count a row as refused."""
        self.summary.refuse(row.collection, row.shown_id, reason)

    async def report_gone(self, collection: str) -> None:
        """Note the documents here whose rows the source no longer has."""
        async for target in gone(self.origin, self.source, collection):
            self.summary.miss(collection, target.partition("_")[2])

    def report_left_out(self) -> None:
        """Note the fields that have no equivalent here, each once with the number of its rows."""
        for (collection, name), rows in sorted(self._left_out.items()):
            reason = f"The field {name} has no place here and was left out of {counted(rows, 'row')}."
            self.summary.adjustments.append(Note(collection, "", reason))

    def _by_id(self, document: type[documents.Document], rows: list[SourceRow]) -> dict[str, SourceRow]:
        """The rows by the ids that they have here. Rows without one are refused."""
        named: dict[str, SourceRow] = {}
        for row in rows:
            try:
                id = row.id(document.kind)
            except Refused as refused:
                self.refuse(row, str(refused))
            else:
                if id in named:
                    self.refuse(row, "Its id, written as a text, is the same as that of another row.")
                named.setdefault(id, row)
        return named

    def _made(self, row: SourceRow, build: Build) -> documents.Document | None:
        try:
            return build(row)
        except (Refused, Refusal) as refused:
            self.refuse(row, str(refused))
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            self.refuse(row, f"It does not fit: {wrong}.")
        return None

    async def _take_new(
        self, document: type[documents.Document], made: list[tuple[SourceRow, documents.Document]]
    ) -> None:
        # Recorded as in ODTP, before names that are taken here get a number.
        taken = [taken_of(row, one) for row, one in made]
        await self._names.make_unique(document, made)
        failed = await self._insert(document, made)
        await remember(self.origin, [one for place, one in enumerate(taken) if place not in failed])

    async def _insert(
        self, document: type[documents.Document], made: list[tuple[SourceRow, documents.Document]]
    ) -> dict[int, str | None]:
        """Insert documents and count the outcomes; returns the indexes of those that were not inserted."""
        keep_nulls = document.get_settings().keep_nulls
        dumped = [get_dict(one, to_db=True, keep_nulls=keep_nulls) for _, one in made]
        failed = await insert_missing(document, dumped)
        for place, (row, _) in enumerate(made):
            if place not in failed:
                self.summary.take(row.collection, row.shown_id, row.notes)
                self._left_out.update((row.collection, name) for name in row.left_out())
            elif failed[place] is None:
                self.summary.already[row.collection] += 1
            else:
                self.refuse(row, f"Another document here has the same {failed[place]}.")
        return failed


async def stored(document: type[documents.Document], ids: Iterable[str], *fields: str) -> dict[str, dict[str, Any]]:
    """The existing rows with these ids, by id, with these fields."""
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return {}
    cursor = collection_of(document).find({"_id": {"$in": wanted}}, list(fields), batch_size=BATCH)
    return {row["_id"]: row async for row in cursor}


async def insert_missing(document: type[documents.Document], rows: list[dict[str, Any]]) -> dict[int, str | None]:
    """Insert missing rows; returns the indexes of those that were not inserted.

    Each index has None when the id existed already, else the names of the fields whose values are taken. Rows that an
    interrupted import leaves out are inserted by the next one.
    """
    if not rows:
        return {}
    try:
        await collection_of(document).insert_many(rows, ordered=False)
    except BulkWriteError as error:
        return {one["index"]: _taken_key(one) for one in duplicates_in(error)}
    return {}


def _taken_key(failure: dict[str, Any]) -> str | None:
    names = list(failure.get("keyPattern", {}))
    return None if names == ["_id"] else " and ".join(names)
