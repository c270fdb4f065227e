"""The steps that importing every collection has in common: read a batch, leave what is here, build, write."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from beanie.odm.utils.dump import get_dict
from bson.codec_options import CodecOptions, DatetimeConversion
from pydantic import ValidationError
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError

import documents
from resolvers.fetch import collection_of
from resolvers.ingest.duplicates import duplicates_in
from resolvers.ingest.odtp_rows import Refused, SourceRow
from resolvers.ingest.odtp_summary import Note, Summary, counted
from resolvers.ingest.odtp_unique import Names
from resolvers.refusals import Refusal

BATCH = 1_000

Source = AsyncDatabase[dict[str, Any]]
Progress = Callable[[str, int, int], None]
Build = Callable[[SourceRow], documents.Document]
Prepare = Callable[[list[SourceRow]], Awaitable[Build]]
"""Given rows that are not here yet, looks up what they refer to, and answers what makes a document of each."""

LENIENT: CodecOptions[dict[str, Any]] = CodecOptions(
    # What one bad row holds must not stop the others.
    unicode_decode_error_handler="replace",
    datetime_conversion=DatetimeConversion.DATETIME_CLAMP,
)


class Import:
    """One import under way."""

    def __init__(self, source: Source, progress: Progress) -> None:
        self.source: Source = source.with_options(codec_options=LENIENT)
        self.summary = Summary()
        self.merged: dict[str, str] = {}
        """Ids of components that are here under another id, with that id."""
        self._progress = progress
        self._names = Names()
        self._left_out: Counter[tuple[str, str]] = Counter()
        self._done: Counter[str] = Counter()
        self._totals: dict[str, int] = {}

    async def expect(self, collection: str) -> None:
        """Begin to report progress on a collection."""
        self._totals[collection] = await self.source[collection].estimated_document_count()
        self.advance(collection, 0)

    def advance(self, collection: str, rows: int) -> None:
        """Report that some more rows of a collection have been dealt with."""
        self._done[collection] += rows
        self._progress(collection, self._done[collection], max(self._totals[collection], self._done[collection]))

    async def batches(
        self, collection: str, match: dict[str, Any] | None = None, fields: list[str] | None = None, size: int = BATCH
    ) -> AsyncIterator[list[SourceRow]]:
        """The rows of a source collection in order of their ids, which makes every import do the same."""
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
        """Take every row of a collection."""
        await self.expect(collection)
        async for rows in self.batches(collection):
            await self.take(document, rows, prepare)
            self.advance(collection, len(rows))

    async def take(self, document: type[documents.Document], rows: list[SourceRow], prepare: Prepare) -> None:
        """Write the rows that are not here yet, and count what became of each."""
        fresh = await self._not_here(document, rows)
        if not fresh:
            return
        build = await prepare(fresh)
        made = [(row, one) for row in fresh if (one := self._made(row, build)) is not None]
        await self._names.settle(document, made)
        await self._insert(document, made)

    def refuse(self, row: SourceRow, reason: str) -> None:
        """Count a row as not taken."""
        self.summary.refuse(row.collection, row.shown_id, reason)

    def report_left_out(self) -> None:
        """Note the fields that have no place here, each once with the number of its rows."""
        for (collection, name), rows in sorted(self._left_out.items()):
            reason = f"The field {name} has no place here and was left out of {counted(rows, 'row')}."
            self.summary.adjustments.append(Note(collection, "", reason))

    async def _not_here(self, document: type[documents.Document], rows: list[SourceRow]) -> list[SourceRow]:
        named: dict[str, SourceRow] = {}
        for row in rows:
            try:
                id = row.id(document.kind)
            except Refused as refused:
                self.refuse(row, str(refused))
            else:
                if id in named:
                    self.refuse(row, "Its id is that of another row, written as a text.")
                named.setdefault(id, row)
        here = await stored(document, named, "_id")
        if rows:
            self.summary.already[rows[0].collection] += len(here)
        return [row for id, row in named.items() if id not in here]

    def _made(self, row: SourceRow, build: Build) -> documents.Document | None:
        try:
            return build(row)
        except (Refused, Refusal) as refused:
            self.refuse(row, str(refused))
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            self.refuse(row, f"It does not fit: {wrong}.")
        return None

    async def _insert(
        self, document: type[documents.Document], made: list[tuple[SourceRow, documents.Document]]
    ) -> None:
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
                self.refuse(row, f"Something here has the same {failed[place]}.")


async def stored(document: type[documents.Document], ids: Iterable[str], *fields: str) -> dict[str, dict[str, Any]]:
    """The rows that are here among these ids, by id, with these fields."""
    wanted = list(dict.fromkeys(ids))
    if not wanted:
        return {}
    cursor = collection_of(document).find({"_id": {"$in": wanted}}, list(fields), batch_size=BATCH)
    return {row["_id"]: row async for row in cursor}


async def insert_missing(document: type[documents.Document], rows: list[dict[str, Any]]) -> dict[int, str | None]:
    """Insert the rows that are not here yet; the places of those that were not inserted.

    With each place comes None when the id was here already, else the names of the fields that are taken. What a stop
    in the middle leaves out is inserted by the next import.
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
