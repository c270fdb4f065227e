"""Verifying the bucket: whether it has the objects that documents name, with the bytes that were registered."""

import asyncio
import hashlib
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Container, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from pymongo import UpdateOne

from documents.base import now
from documents.storage.bucket import Bucket, ListedObject, ObjectNotFound
from resolvers.reads.rows import collection_of
from resolvers.storage.object_references import SOURCES, Reference, source_of
from resolvers.storage.reference_table import ReferenceTable
from resolvers.storage.upload import FOLDERS

CONCURRENCY = 4
"""Objects that are read or looked up at the same time. Parts of 8 MB of each of them are in memory."""
READ_DOCUMENTS, COMPARE_OBJECTS = "documents", "objects"
"""The tasks whose progress is reported."""

T = TypeVar("T")
ReportProgress = Callable[[str, int, int], None]
"""Receives the name of a task, the number of its items that are done, and their total."""


class Problem(StrEnum):
    """A difference between the database and the bucket."""

    MISSING = "missing"
    WRONG_SIZE = "wrong size"
    WRONG_BYTES = "wrong bytes"
    MOVED = "moved"
    """The object is there, but in another bucket or generation than the document names: the server cannot read it."""
    UNREFERENCED = "unreferenced"


@dataclass(frozen=True)
class Finding:
    """A difference about one object; `document` is the id of the one that names it, None where none does."""

    problem: Problem
    key: str
    document: str | None
    detail: str


@dataclass
class BucketVerification:
    """A comparison of the database with a bucket.

    With `hashes` all bytes are read; with `unreferenced` objects are named that no document refers to. With `adopt`
    documents whose objects were copied to this bucket, with their bytes unchanged, name it and the new generation from
    then on.
    """

    bucket: Bucket
    hashes: bool = False
    unreferenced: bool = False
    adopt: bool = False
    report: ReportProgress = lambda task, done, total: None
    references: int = 0
    """References that were read, those of open uploads included."""
    objects: int = 0
    """Objects in the bucket that documents name."""
    bytes_read: int = 0
    adopted: int = 0
    """Documents that were changed."""
    problems: Counter[Problem] = field(default_factory=Counter)

    async def findings(self) -> AsyncGenerator[Finding, None]:
        """Compare, and return each difference as it is found.

        Takes 40 MB of memory at most, and some 300 bytes in a temporary file for each document.
        """
        began = now()
        with (
            tempfile.TemporaryDirectory(prefix="provenance-verify-") as folder,
            ReferenceTable(Path(folder) / "references") as table,
        ):
            await self._read_references(table)
            async for finding in self._compare(table, began):
                self.problems[finding.problem] += 1
                yield finding

    async def _read_references(self, table: ReferenceTable) -> None:
        total = sum([await source.count() for source in SOURCES])
        for source in SOURCES:
            async for page in source.pages():
                await asyncio.to_thread(table.insert, page)
                self.references += len(page)
                self.report(READ_DOCUMENTS, self.references, max(self.references, total))

    @property
    def _folders(self) -> tuple[str, ...]:
        """The folders of the bucket in which this server stores objects."""
        return tuple(f"{self.bucket.prefix}{name}/" for name in FOLDERS.values())

    async def _compare(self, table: ReferenceTable, began: datetime) -> AsyncIterator[Finding]:
        for folder in self._folders:
            async for page in self.bucket.list_objects(folder):
                references = await asyncio.to_thread(table.mark_seen, [stored.key for stored in page])
                pairs = [(reference, stored) for stored in page for reference in references.get(stored.key, ())]
                for finding in [*await self._compare_pairs(pairs), *self._unreferenced(page, references, began)]:
                    yield finding
        for unseen in table.unseen():
            for finding in await self._look_up(unseen):
                yield finding

    async def _look_up(self, references: list[Reference]) -> list[Finding]:
        """The differences about objects that were not listed: they are missing, or in other folders."""
        objects = await _gather(self._find(reference.key) for reference in references)
        pairs = list(zip(references, objects, strict=True))
        missing = [
            _finding(Problem.MISSING, reference, "There is no such object in the bucket.")
            for reference, stored in pairs
            if stored is None and reference.required
        ]
        return missing + await self._compare_pairs([(reference, stored) for reference, stored in pairs if stored])

    async def _find(self, key: str) -> ListedObject | None:
        # Objects are stored before documents name them, so a list made later shows all of its folder.
        if key.startswith(self._folders):
            return None
        try:
            stored = await self.bucket.stat(key)
        except ValueError:
            # The server gives no such names, but somebody may have changed the database.
            return None
        return ListedObject(key, stored.size, stored.generation, now()) if stored else None

    async def _compare_pairs(self, pairs: list[tuple[Reference, ListedObject]]) -> list[Finding]:
        """The differences between references and their objects; objects that were moved are adopted if they may be."""
        findings = await _gather(self._difference(reference, stored) for reference, stored in pairs)
        self.objects += len({stored.key for _, stored in pairs})
        self.report(COMPARE_OBJECTS, self.objects, max(self.objects, self.references))
        if self.adopt:
            compared = zip(pairs, findings, strict=True)
            await self._adopt([pair for pair, finding in compared if finding and finding.problem is Problem.MOVED])
            findings = [finding for finding in findings if finding and finding.problem is not Problem.MOVED]
        return [finding for finding in findings if finding]

    async def _difference(self, reference: Reference, stored: ListedObject) -> Finding | None:
        """The difference between an object and its reference, None when there is none."""
        if reference.generation is None and not reference.required:
            return None
        if reference.size is not None and reference.size != stored.size:
            detail = f"It has {stored.size:,} bytes, not the {reference.size:,} that were registered."
            return _finding(Problem.WRONG_SIZE, reference, detail)
        is_moved = (reference.bucket, reference.generation) != (self.bucket.name, stored.generation)
        if self.hashes or (is_moved and self.adopt):
            actual = await self._sha256(stored)
            if actual != reference.sha256:
                return _finding(Problem.WRONG_BYTES, reference, f"Its SHA-256 is {actual}, not {reference.sha256}.")
        if is_moved:
            place = f"generation {stored.generation} of {self.bucket.name}"
            named = f"generation {reference.generation} of {reference.bucket}"
            return _finding(Problem.MOVED, reference, f"It is {place}, but the document names {named}.")
        return None

    async def _sha256(self, stored: ListedObject) -> str | None:
        """The SHA-256 of an object's bytes, None when it is gone."""
        digest = hashlib.sha256()
        try:
            async for chunk in self.bucket.read(stored.key, stored.generation):
                self.bytes_read += len(chunk)
                await asyncio.to_thread(digest.update, chunk)
        except ObjectNotFound:
            return None
        return digest.hexdigest()

    async def _adopt(self, moved: list[tuple[Reference, ListedObject]]) -> None:
        """Let documents name this bucket and the generations of its objects, unless they were changed meanwhile."""
        for source in SOURCES:
            updates = [
                UpdateOne(
                    {"_id": reference.document, source.key: reference.key, "generation": reference.generation},
                    {"$set": {source.bucket: self.bucket.name, "generation": stored.generation}},
                )
                for reference, stored in moved
                if source_of(reference) is source
            ]
            if updates:
                result = await collection_of(source.document).bulk_write(updates, ordered=False)
                self.adopted += result.modified_count

    def _unreferenced(self, page: list[ListedObject], keys: Container[str], began: datetime) -> list[Finding]:
        """Objects that no document names, except those that were stored since the documents were read."""
        if not self.unreferenced:
            return []
        return [
            Finding(Problem.UNREFERENCED, stored.key, None, f"No document names it. It has {stored.size:,} bytes.")
            for stored in page
            if stored.key not in keys and stored.created_at < began
        ]


def _finding(problem: Problem, reference: Reference, detail: str) -> Finding:
    return Finding(problem, reference.key, reference.document, detail)


async def _gather(work: Iterable[Awaitable[T]]) -> list[T]:
    """The results, in order; CONCURRENCY of them are computed at a time."""
    slots = asyncio.Semaphore(CONCURRENCY)

    async def run(one: Awaitable[T]) -> T:
        async with slots:
            return await one

    return await asyncio.gather(*map(run, work))
