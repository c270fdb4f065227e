"""Resources that watch directories: finding the files that are new to them, and counting these."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pymongo import UpdateOne

import documents
from documents.catalogue.resource import CodeRepo, MonitorDir
from documents.mongo.transaction import Session
from resolvers.file_events.seen_files import Sighting
from resolvers.reads.rows import Row, collection_of

Below = dict[str, list[Sighting]]
"""Files by the directories that they are below."""

MOST_AT_ONCE = 2_000
"""Directories in one find, so that its command stays below 16 MB."""
PREFIX = "code_repo.monitor_dirs.prefix"


@dataclass
class Watcher:
    """A resource that watches directories in which files were reported."""

    id: str
    code: CodeRepo
    files_taken_at: datetime | None
    news: dict[str, bool] = field(default_factory=dict)
    """URLs of files that make a transform due, each with whether the file was pending before."""


async def watchers_of(directories: Iterable[str], session: Session) -> list[Watcher]:
    """The resources that watch any of these directories, found by an index."""
    asked = sorted(set(directories))
    rows: dict[str, Row] = {}
    for start in range(0, len(asked), MOST_AT_ONCE):
        match = {PREFIX: {"$in": asked[start : start + MOST_AT_ONCE]}}
        found = collection_of(documents.Resource).find(match, {"code_repo": 1, "filesTakenAt": 1}, session=session)
        rows |= {row["_id"]: row for row in await found.to_list()}
    return [_watcher(row) for row in rows.values()]


async def is_watched(directories: list[str]) -> bool:
    """Whether any of these directories is watched at the moment."""
    return await collection_of(documents.Resource).find_one({PREFIX: {"$in": directories}}, {"_id": 1}) is not None


async def look_through(watchers: list[Watcher], below: Below, at: datetime, session: Session) -> None:
    """Find each watcher's new files, and count them in its directories. Without new files nothing changes."""
    changes = [(watcher.id, _changes(watcher, below, at)) for watcher in watchers]
    updates = [UpdateOne({"_id": id}, {"$set": changed}) for id, changed in changes if changed]
    if updates:
        # The resource is written to, so that two concurrent reports, or a report and a claim, conflict and see each
        # other.
        await collection_of(documents.Resource).bulk_write(updates, session=session)


def _changes(watcher: Watcher, below: Below, at: datetime) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for number, directory in enumerate(watcher.code.monitor_dirs):
        files = below.get(directory.prefix, [])
        first = directory.last_seen_at is None
        if not files or not (first or any(file.fresh for file in files)):
            continue
        place = f"code_repo.monitor_dirs.{number}"
        if first and not all(file.timed for file in files):
            directory.watched_since = at
            changed[f"{place}.watchedSince"] = at
        news = {file.file.url: _was_pending(file, directory, watcher) for file in files if _is_news(file, directory)}
        watcher.news |= {url: pending or watcher.news.get(url, False) for url, pending in news.items()}
        changed[f"{place}.lastSeenAt"] = at
        changed[f"{place}.pendingFiles"] = directory.pending_files + sum(not pending for pending in news.values())
    return changed


def _is_news(one: Sighting, directory: MonitorDir) -> bool:
    """Whether a file appeared or changed since its directory is watched.

    Decided by times. Without a time, files in the first report of a directory existed before, and all others are new.
    """
    if not one.fresh:
        return False
    return one.file.updated_at > directory.watched_since if one.timed else directory.last_seen_at is not None


def _was_pending(one: Sighting, directory: MonitorDir, watcher: Watcher) -> bool:
    """Whether the file's earlier generation was counted since a transform of the resource last began."""
    before = one.before
    if before is None or before.updated_at <= directory.watched_since:
        return False
    return watcher.files_taken_at is None or before.seen_at > watcher.files_taken_at


def _watcher(row: Row) -> Watcher:
    taken = row.get("filesTakenAt")
    return Watcher(row["_id"], CodeRepo.model_validate(row["code_repo"]), taken and taken.replace(tzinfo=UTC))
