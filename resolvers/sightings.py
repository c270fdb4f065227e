"""What files were at last: telling what is new from what was known, and remembering it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pymongo import ReplaceOne

from documents.seen_file import SeenFile, seen_file_id
from resolvers.fetch import collection_of
from resolvers.writing import Session


@dataclass(frozen=True)
class FileEvent:
    """A file at one of its generations. `url` is as `file_url` writes it; `updated_at` is None when nobody told."""

    url: str
    generation: str
    updated_at: datetime | None = None
    file_size: int | None = None


@dataclass(frozen=True)
class Sighting:
    """A file as it is now reported, beside what was known of it."""

    file: SeenFile
    before: SeenFile | None
    timed: bool
    fresh: bool
    """Whether this is a file, or a generation of it, that was not known."""


async def look_at(events: Iterable[FileEvent], at: datetime, session: Session) -> list[Sighting]:
    """Each file once, at the newest generation that is reported of it."""
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
    """Keep what is fresh in the place of what was known."""
    rows = [one.file.model_dump(by_alias=True) for one in sightings if one.fresh]
    if rows:
        replaced = [ReplaceOne({"_id": row["_id"]}, row, upsert=True) for row in rows]
        await collection_of(SeenFile).bulk_write(replaced, session=session)


def is_newer(event: FileEvent, known: SeenFile | None) -> bool:
    """Whether an event tells of a later generation than the one that is known.

    Generations that are decimal numbers, as those of buckets are, are counted. Of others nobody knows the order, so
    that another one is a later one, unless its time is earlier.
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
    # A clock that is ahead must not outdate whatever follows.
    return SeenFile(
        id=seen_file_id(event.url),
        url=event.url,
        generation=event.generation,
        updated_at=min(event.updated_at or at, at),
        file_size=event.file_size,
        seen_at=at,
    )
