"""Files that appeared or changed: what was reported, and what that makes due.

What a file was at last is kept once, whoever watches it (resolvers/sightings.py); what is news follows from that and
from each directory that is watched (resolvers/monitor_dirs.py); whoever has news gets one transform that waits
(resolvers/due.py). All of a report happens in one transaction, and of two that tell of the same generation at once one
has to begin again, so that it counts once.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

import documents
from documents.base import now
from documents.file_url import directories_above, file_url, is_directory
from resolvers.checks import a_line, a_url
from resolvers.due import make_due
from resolvers.fetch import Row, collection_of
from resolvers.ingest.turns import turn
from resolvers.monitor_dirs import Below, is_watched, look_through, watchers_of
from resolvers.refusals import InvalidInput, LimitExceeded, Refusal, Refusals
from resolvers.sightings import FileEvent, look_at, remember
from resolvers.viewer import Role, Viewer
from resolvers.writing import Outcome, Session, require, write

MOST_FILES = 1_000
LONGEST_FILE_URL = 8_000
"""Characters once it is percent-encoded."""
TURN = "file events"
"""Reports take turns in a process, as most of them write to the same few resources."""
BUCKET = Viewer(Role.WORKER)
"""Who tells of the files in a bucket: nobody in particular."""

log = structlog.stdlib.get_logger("resolvers.file_events")


async def report_files(session: Session, viewer: Viewer, *, files: list[dict[str, Any]]) -> Outcome:
    """The transforms that wait because of these files. Raises Refusals with everything that is wrong with them."""
    require(viewer, Role.WORKER)
    if len(files) > MOST_FILES:
        raise LimitExceeded(f"{len(files)} files; at most {MOST_FILES} are taken at once.", "files")
    events: list[FileEvent] = []
    refused: list[Refusal] = []
    for number, given in enumerate(files):
        try:
            events.append(_event(given, "files", str(number)))
        except Refusal as refusal:
            refused.append(refusal)
    if refused:
        raise Refusals(refused)
    return {"due": await _record(events, session)}


@dataclass(eq=False)
class _Told:
    """An event whose turn has not come."""

    event: FileEvent
    recorded: bool = False


_waiting: list[_Told] = []


async def bucket_told(event: FileEvent) -> None:
    """Record what a bucket told, together with all that it told meanwhile. What nobody watches costs one look-up."""
    if not await is_watched(directories_above(event.url)):
        return
    told = _Told(event)
    _waiting.append(told)
    try:
        async with turn(TURN):
            if not told.recorded:
                await _record_all(_waiting[:MOST_FILES])
    finally:
        _waiting.remove(told)


async def _record_all(told: list[_Told]) -> None:
    async def work(session: Session) -> Outcome:
        return {"due": await _record([one.event for one in told], session)}

    due = (await write(BUCKET, "reportFiles", {}, None, work))["due"]
    for one in told:
        one.recorded = True
    if due:
        log.info("files made transforms due", files=len(told), transforms=len(due))


async def files_taken(resource_id: str, session: Session) -> None:
    """Note that a transform of this resource sets to work on the files that are pending."""
    pending = {"_id": resource_id, "code_repo.monitor_dirs.pendingFiles": {"$gt": 0}}
    taken = {"code_repo.monitor_dirs.$[].pendingFiles": 0, "filesTakenAt": now()}
    await collection_of(documents.Resource).update_one(pending, {"$set": taken}, session=session)


def _event(given: dict[str, Any], *path: str) -> FileEvent:
    # Tools list objects under their names, in which there are blanks.
    url = file_url(a_url(given["url"].strip().replace(" ", "%20"), *path, "url"))
    if len(url) > LONGEST_FILE_URL:
        raise InvalidInput(f"url has {len(url)} characters; at most {LONGEST_FILE_URL} are kept.", *path, "url")
    size: int | None = given.get("size_bytes")
    if size is not None and size < 0:
        raise InvalidInput(f"sizeBytes is {size}, less than nothing.", *path, "sizeBytes")
    updated_at: datetime | None = given.get("updated_at")
    return FileEvent(url, a_line(given["generation"], *path, "generation"), updated_at, size)


async def _record(events: list[FileEvent], session: Session) -> list[Row]:
    at = now()
    # Some tools keep an empty object in the place of a directory.
    above = {event.url: directories_above(event.url) for event in events if not is_directory(event.url)}
    watchers = await watchers_of((one for directories in above.values() for one in directories), session)
    watched = {directory.prefix for watcher in watchers for directory in watcher.code.monitor_dirs}
    concern = [event for event in events if not watched.isdisjoint(above.get(event.url, ()))]
    sightings = await look_at(concern, at, session)
    below: Below = defaultdict(list)
    for one in sightings:
        for directory in watched.intersection(above[one.file.url]):
            below[directory].append(one)
    await remember(sightings, session)
    await look_through(watchers, below, at, session)
    return await make_due(watchers, session)
