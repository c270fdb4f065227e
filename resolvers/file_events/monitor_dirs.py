"""Resources that watch directories: the files that are new to them are found and counted."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pymongo import UpdateOne

import documents
from documents.catalogue.resource import CodeRepo, MonitorDir
from documents.file_events.seen_file import SeenFile
from documents.mongo.transaction import Session
from resolvers.file_events.seen_files import SeenFileChange
from resolvers.reads.rows import Row, collection_of

FilesByDirectory = dict[str, list[SeenFileChange]]
"""Reported files by the directories that contain them, directly or not."""

MAX_DIRECTORIES_IN_FIND = 2_000
"""Directories in one find, so that its command stays below 16 MB."""
PREFIX = "code_repo.monitor_dirs.prefix"


class NewFile(NamedTuple):
    """A file that makes a transform due. `was_pending` says whether an earlier generation of it already did."""

    file: SeenFile
    was_pending: bool


@dataclass
class Watcher:
    """A resource that watches directories in which files were reported."""

    id: str
    code: CodeRepo
    files_taken_at: datetime | None
    new_files: dict[str, NewFile] = field(default_factory=dict)
    """Files that make a transform due, by URL."""


async def watchers_of(directories: Iterable[str], session: Session) -> list[Watcher]:
    """The resources that watch any of these directories, found by an index."""
    prefixes = sorted(set(directories))
    rows: dict[str, Row] = {}
    for start in range(0, len(prefixes), MAX_DIRECTORIES_IN_FIND):
        match = {PREFIX: {"$in": prefixes[start : start + MAX_DIRECTORIES_IN_FIND]}}
        cursor = collection_of(documents.Resource).find(match, {"code_repo": 1, "filesTakenAt": 1}, session=session)
        rows |= {row["_id"]: row for row in await cursor.to_list()}
    return [_watcher(row) for row in rows.values()]


async def is_watched(directories: list[str]) -> bool:
    """Whether any of these directories is watched at the moment."""
    return await collection_of(documents.Resource).find_one({PREFIX: {"$in": directories}}, {"_id": 1}) is not None


async def count_new_files(
    watchers: list[Watcher], files_by_directory: FilesByDirectory, at: datetime, session: Session
) -> None:
    """Find each watcher's new files, and count them in its directories. Without any, nothing is written."""
    changes = [(watcher.id, _changes(watcher, files_by_directory, at)) for watcher in watchers]
    updates = [UpdateOne({"_id": id}, {"$set": values}) for id, values in changes if values]
    if updates:
        # The resource is written to, so that two concurrent reports, or a report and a claim, conflict and see each
        # other.
        await collection_of(documents.Resource).bulk_write(updates, session=session)


def _changes(watcher: Watcher, files_by_directory: FilesByDirectory, at: datetime) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for number, directory in enumerate(watcher.code.monitor_dirs):
        files = files_by_directory.get(directory.prefix, [])
        is_first_report = directory.last_seen_at is None
        if not files or not (is_first_report or any(file.is_new for file in files)):
            continue
        path = f"code_repo.monitor_dirs.{number}"
        if is_first_report and not all(file.has_time for file in files):
            directory.watched_since = at
            changes[f"{path}.watchedSince"] = at
        new = [(file.file, _was_pending(file, directory, watcher)) for file in files if _is_new(file, directory)]
        for file, was_pending in new:
            earlier = watcher.new_files.get(file.url)
            watcher.new_files[file.url] = NewFile(file, was_pending or (earlier is not None and earlier.was_pending))
        changes[f"{path}.lastSeenAt"] = at
        changes[f"{path}.pendingFiles"] = directory.pending_files + sum(not was_pending for _, was_pending in new)
    return changes


def _is_new(file: SeenFileChange, directory: MonitorDir) -> bool:
    """Whether a file appeared or changed since its directory is watched.

    Decided by times. Without a time, files in the first report of a directory existed before, and all others are new.
    """
    if not file.is_new:
        return False
    return file.file.updated_at > directory.watched_since if file.has_time else directory.last_seen_at is not None


def _was_pending(file: SeenFileChange, directory: MonitorDir, watcher: Watcher) -> bool:
    """Whether the file's earlier generation was counted since a transform of the resource last began."""
    before = file.before
    if before is None or before.updated_at <= directory.watched_since:
        return False
    return watcher.files_taken_at is None or before.seen_at > watcher.files_taken_at


def _watcher(row: Row) -> Watcher:
    taken_at = row.get("filesTakenAt")
    return Watcher(row["_id"], CodeRepo.model_validate(row["code_repo"]), taken_at and taken_at.replace(tzinfo=UTC))
