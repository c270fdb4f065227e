"""The last seen state of files: distinguishing new ones from known ones, and recording them."""

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


@dataclass(frozen=True)
class Sighting:
    """A file as it is now reported, with its last known state."""

    file: SeenFile
    before: SeenFile | None
    timed: bool
    fresh: bool
    """Whether this file, or this generation of it, is new."""


async def look_at(events: Iterable[FileEvent], at: datetime, session: Session) -> list[Sighting]:
    """Each file once, at its newest reported generation."""
    ids = sorted({seen_file_id(event.url) for event in events})
    rows = await collection_of(SeenFile).find({"_id": {"$in": ids}}, session=session).to_list() if ids else []
    known = {row["_id"]: SeenFile.model_validate(row) for row in rows}
    found: dict[str, Sighting] = {}
    for event in events:
        file, latest = _file(event, at), found.get(event.url)
        if latest is None or is_newer(event, latest.file):
            before = known.get(file.id)
            found[event.url] = Sighting(file, before, event.updated_at is not None, is_newer(event, before))
    return list(found.values())


async def remember(sightings: Iterable[Sighting], session: Session) -> None:
    """Store new states in place of the known ones."""
    rows = [one.file.model_dump(by_alias=True) for one in sightings if one.fresh]
    if rows:
        replaced = [ReplaceOne({"_id": row["_id"]}, row, upsert=True) for row in rows]
        await collection_of(SeenFile).bulk_write(replaced, session=session)


def is_newer(event: FileEvent, known: SeenFile | None) -> bool:
    """Whether an event is about a later generation than the known one.

    Decimal generations, as those of buckets, are compared as numbers. Others have no known order, so a different one
    counts as later, unless its time is earlier.
    """
    if known is None:
        return True
    if event.generation == known.generation:
        return False
    if _is_number(event.generation) and _is_number(known.generation):
        return int(event.generation) > int(known.generation)
    return event.updated_at is None or event.updated_at >= known.updated_at


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
        seen_at=at,
    )
