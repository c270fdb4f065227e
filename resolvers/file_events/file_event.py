"""Reports of files that appeared or changed, and the transforms that they make due.

The last state of a file is stored once for all watchers (resolvers/file_events/seen_files.py); whether it is new
follows from that and from each watched directory (resolvers/file_events/monitor_dirs.py); each resource with new files
gets one waiting transform (resolvers/file_events/mark_transforms_due.py). A report is processed in one transaction; of
two concurrent reports of the same generation one retries, so that it counts once.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

import documents
from documents.base import now
from documents.mongo.transaction import Session
from documents.storage.file_url import directories_above, file_url, is_directory
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.concurrency.keyed_lock import keyed_lock
from resolvers.file_events.mark_transforms_due import make_due
from resolvers.file_events.monitor_dirs import Below, is_watched, look_through, watchers_of
from resolvers.file_events.seen_files import FileEvent, look_at, remember
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import InvalidInput, LimitExceeded, Refusals
from resolvers.validators import check_line, check_location
from resolvers.writes.idempotency import run_idempotent
from resolvers.writes.transaction import Outcome

MOST_FILES = 1_000
LONGEST_FILE_URL = 8_000
"""Characters of a URL once it is percent-encoded."""
TURN = "file events"
"""Lock for reports within a process, as most of them write to the same few resources."""
BUCKET = Viewer(Role.WORKER)
"""The viewer that reports files in a bucket: no user or token in particular."""

log = structlog.stdlib.get_logger("resolvers.file_events")


async def report_files(session: Session, viewer: Viewer, *, files: list[dict[str, Any]]) -> Outcome:
    """Report files; returns the transforms that wait because of them, and the refusals of files that were not accepted.

    Raises Refusals where none is accepted.
    """
    require_role(viewer, Role.WORKER)
    if len(files) > MOST_FILES:
        raise LimitExceeded(f"{len(files)} files; at most {MOST_FILES} are taken at once.", "files")
    events: list[FileEvent] = []
    refused: list[InvalidInput] = []
    for number, given in enumerate(files):
        try:
            events.append(_event(given, "files", str(number)))
        except InvalidInput as refusal:
            refused.append(refusal)
    if refused and not events:
        raise Refusals([*refused])
    told = [{"message": one.message, "path": list(one.path)} for one in refused]
    return {"due": await _record(events, session), "refused": told}


@dataclass(eq=False)
class _Told:
    """An event that waits to be processed."""

    event: FileEvent
    recorded: bool = False


_waiting: list[_Told] = []


async def record_bucket_event(event: FileEvent) -> None:
    """Record an event of a bucket, together with all that arrived meanwhile. Files that nobody watches cost one
    look-up."""
    if not await is_watched(directories_above(event.url)):
        return
    told = _Told(event)
    _waiting.append(told)
    try:
        async with keyed_lock(TURN):
            if not told.recorded:
                await _record_all(_waiting[:MOST_FILES])
    finally:
        _waiting.remove(told)


async def _record_all(told: list[_Told]) -> None:
    async def work(session: Session) -> Outcome:
        return {"due": await _record([one.event for one in told], session)}

    due = (await run_idempotent(BUCKET, "reportFiles", {}, None, work))["due"]
    for one in told:
        one.recorded = True
    if due:
        log.info("files made transforms due", files=len(told), transforms=len(due))


async def clear_pending_files(resource_id: str, session: Session) -> None:
    """Record that a transform of this resource has taken the pending files."""
    pending = {"_id": resource_id, "code_repo.monitor_dirs.pendingFiles": {"$gt": 0}}
    taken = {"code_repo.monitor_dirs.$[].pendingFiles": 0, "filesTakenAt": now()}
    await collection_of(documents.Resource).update_one(pending, {"$set": taken}, session=session)


def _event(given: dict[str, Any], *path: str) -> FileEvent:
    url = file_url(check_location(given["url"], *path, "url"))
    if len(url) > LONGEST_FILE_URL:
        raise InvalidInput(f"url has {len(url)} characters; at most {LONGEST_FILE_URL} are kept.", *path, "url")
    size: int | None = given.get("size_bytes")
    if size is not None and size < 0:
        raise InvalidInput(f"sizeBytes is {size}, but must not be negative.", *path, "sizeBytes")
    updated_at: datetime | None = given.get("updated_at")
    return FileEvent(url, check_line(given["generation"], *path, "generation"), updated_at, size)


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
