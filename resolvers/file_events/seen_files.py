"""The last seen state of files: comparing reported files with it, and storing what is new."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pymongo import ReplaceOne

from documents.file_events.seen_file import SeenFile, seen_file_id
from documents.mongo.transaction import Session
from resolvers.reads.rows import collection_of


@dataclass(frozen=True)
class FileEvent:
    """A file at one of its generations. `url` is as `file_url` writes it; `updated_at` is None when not reported."""

    url: str
    generation: str
    updated_at: datetime | None = None
    file_size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class SeenFileChange:
    """A file as it is now reported, with the state that was seen before."""

    file: SeenFile
    before: SeenFile | None
    has_time: bool
    """Whether the report gives the time of the file."""
    is_new: bool
    """Whether this file, or this generation of it, is new."""


async def compare_with_seen(events: Iterable[FileEvent], at: datetime, session: Session) -> list[SeenFileChange]:
    """Each reported file once, at its newest generation, with the state that was seen before."""
    ids = sorted({seen_file_id(event.url) for event in events})
    rows = await collection_of(SeenFile).find({"_id": {"$in": ids}}, session=session).to_list() if ids else []
    seen = {row["_id"]: SeenFile.model_validate(row) for row in rows}
    changes: dict[str, SeenFileChange] = {}
    for event in events:
        file, latest = _file(event, at), changes.get(event.url)
        if latest is None or is_newer(event, latest.file):
            before = seen.get(file.id)
            changes[event.url] = SeenFileChange(file, before, event.updated_at is not None, is_newer(event, before))
    return list(changes.values())


async def store_seen(changes: Iterable[SeenFileChange], session: Session) -> None:
    """Store the new states in place of those that were seen before."""
    rows = [change.file.model_dump(by_alias=True) for change in changes if change.is_new]
    if rows:
        writes = [ReplaceOne({"_id": row["_id"]}, row, upsert=True) for row in rows]
        await collection_of(SeenFile).bulk_write(writes, session=session)


def is_newer(event: FileEvent, seen: SeenFile | None) -> bool:
    """Whether an event is about a later generation than the one seen.

    Decimal generations, as those of buckets, are compared as numbers. Others have no known order, so a different one
    counts as later, unless its time is earlier.
    """
    if seen is None:
        return True
    if event.generation == seen.generation:
        return False
    if _is_number(event.generation) and _is_number(seen.generation):
        return int(event.generation) > int(seen.generation)
    return event.updated_at is None or event.updated_at >= seen.updated_at


def _is_number(generation: str) -> bool:
    return generation.isascii() and generation.isdigit()


def _file(event: FileEvent, at: datetime) -> SeenFile:
    # A reporter's clock that is ahead must not outdate later events.
    return SeenFile(
        id=seen_file_id(event.url),
        url=event.url,
        generation=event.generation,
        updated_at=min(event.updated_at or at, at),
        file_size=event.file_size,
        sha256=event.sha256,
        seen_at=at,
    )
