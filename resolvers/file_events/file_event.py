"""Reports of files that appeared or changed, and the transforms that become due because of them.

The last state of a file is stored once for all watchers (resolvers/file_events/seen_files.py); whether it is new
follows from that and from each watched directory (resolvers/file_events/monitor_dirs.py); each resource with new files
gets one waiting transform (resolvers/file_events/mark_transforms_due.py). A report is processed in one transaction; of
two concurrent reports of the same generation one retries, so that it counts once.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import NotRequired, TypedDict

import structlog

import documents
from documents.base import now
from documents.mongo.transaction import Session
from documents.storage.file_url import directories_above, file_url, is_directory
from resolvers.access.roles import require_role
from resolvers.access.viewer import Role, Viewer
from resolvers.concurrency.keyed_lock import keyed_lock
from resolvers.file_events.mark_transforms_due import mark_transforms_due
from resolvers.file_events.monitor_dirs import FilesByDirectory, count_new_files, is_watched, watchers_of
from resolvers.file_events.seen_files import FileEvent, compare_with_seen, store_seen
from resolvers.limits import MAX_REPORTED_FILES
from resolvers.reads.rows import Row, collection_of
from resolvers.storage.upload import check_sha256
from resolvers.user_errors import InvalidInput, LimitExceeded, Refusals
from resolvers.validators import check_line, check_location
from resolvers.writes.idempotency import run_idempotent
from resolvers.writes.transaction import Outcome, require_lock

MAX_FILE_URL_LENGTH = 8_000
"""Characters of a URL once it is percent-encoded."""
FILE_EVENTS = "file events"
"""The key of the lock for reports within a process, as most of them write to the same few resources."""
BUCKET = Viewer(Role.WORKER)
"""The viewer that reports files in a bucket: no user or token in particular."""

log = structlog.stdlib.get_logger("resolvers.file_events")


class FileReport(TypedDict):
    """A file in its current state."""

    url: str
    generation: str
    updated_at: NotRequired[datetime | None]
    size_bytes: NotRequired[int | None]
    sha256: NotRequired[str | None]


async def report_files(session: Session, viewer: Viewer, *, files: list[FileReport]) -> Outcome:
    """Report files; returns the transforms that wait because of them, and the refusals of files that were not accepted.

    Raises Refusals where none is accepted.
    """
    require_role(viewer, Role.WORKER)
    await require_lock(FILE_EVENTS)
    if len(files) > MAX_REPORTED_FILES:
        raise LimitExceeded(f"{len(files):,} files are too many; at most {MAX_REPORTED_FILES} are allowed.", "files")
    events: list[FileEvent] = []
    refused: list[InvalidInput] = []
    for number, file in enumerate(files):
        try:
            events.append(_file_event(file, "files", str(number)))
        except InvalidInput as refusal:
            refused.append(refusal)
    if refused and not events:
        raise Refusals([*refused])
    reasons = [{"message": refusal.message, "path": list(refusal.path)} for refusal in refused]
    return {"due": await _record(events, session), "refused": reasons}


@dataclass(eq=False)
class _PendingEvent:
    """An event that waits to be processed."""

    event: FileEvent
    is_recorded: bool = False


_pending: list[_PendingEvent] = []


async def record_bucket_event(event: FileEvent) -> None:
    """Record an event of a bucket, together with all that arrived meanwhile. Files that nobody watches cost one
    lookup."""
    if not await is_watched(directories_above(event.url)):
        return
    pending = _PendingEvent(event)
    _pending.append(pending)
    try:
        async with keyed_lock(FILE_EVENTS):
            if not pending.is_recorded:
                await _record_all(_pending[:MAX_REPORTED_FILES])
    finally:
        _pending.remove(pending)


async def _record_all(batch: list[_PendingEvent]) -> None:
    async def work(session: Session) -> Outcome:
        return {"due": await _record([pending.event for pending in batch], session)}

    due = (await run_idempotent(BUCKET, "reportFiles", {}, None, work))["due"]
    for pending in batch:
        pending.is_recorded = True
    if due:
        log.info("files made transforms due", files=len(batch), transforms=len(due))


async def clear_pending_files(resource_id: str, session: Session) -> None:
    """Record that a transform of this resource has taken the pending files."""
    pending = {"_id": resource_id, "code_repo.monitor_dirs.pendingFiles": {"$gt": 0}}
    cleared = {"code_repo.monitor_dirs.$[].pendingFiles": 0, "filesTakenAt": now()}
    await collection_of(documents.Resource).update_one(pending, {"$set": cleared}, session=session)


def _file_event(file: FileReport, *path: str) -> FileEvent:
    url = file_url(check_location(file["url"], *path, "url"))
    if len(url) > MAX_FILE_URL_LENGTH:
        raise InvalidInput(f"url has {len(url)} characters; at most {MAX_FILE_URL_LENGTH} are allowed.", *path, "url")
    size = file.get("size_bytes")
    if size is not None and size < 0:
        raise InvalidInput(f"sizeBytes is {size}, but must not be negative.", *path, "sizeBytes")
    generation, sha256 = check_line(file["generation"], *path, "generation"), file.get("sha256")
    if sha256 is not None:
        sha256 = check_sha256(sha256, *path, "sha256")
    return FileEvent(url, generation, file.get("updated_at"), size, sha256)


async def _record(events: list[FileEvent], session: Session) -> list[Row]:
    at = now()
    # Some tools keep an empty object in the place of a directory.
    above = {event.url: directories_above(event.url) for event in events if not is_directory(event.url)}
    watchers = await watchers_of(chain.from_iterable(above.values()), session)
    watched = {directory.prefix for watcher in watchers for directory in watcher.code.monitor_dirs}
    watched_events = [event for event in events if not watched.isdisjoint(above.get(event.url, ()))]
    changes = await compare_with_seen(watched_events, at, session)
    files_by_directory: FilesByDirectory = defaultdict(list)
    for change in changes:
        for directory in watched.intersection(above[change.file.url]):
            files_by_directory[directory].append(change)
    await store_seen(changes, session)
    await count_new_files(watchers, files_by_directory, at, session)
    return await mark_transforms_due(watchers, session)
