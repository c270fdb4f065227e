"""Waiting transforms for resources with new files: one for each resource, naming the files that it waits for."""

from pymongo import UpdateOne

import documents
from documents.activities.activity import ActivityStatus
from documents.catalogue.transform import TransformCause, TransformCauseKind
from documents.mongo.transaction import Session
from resolvers.file_events.code_repo import frozen
from resolvers.file_events.monitor_dirs import Watcher
from resolvers.reads.rows import Row, collection_of

MOST_LISTED = 1_000
"""Files that a cause names; further ones are only counted."""


async def make_due(watchers: list[Watcher], session: Session) -> list[Row]:
    """Make a transform due for each of these watchers; returns those that waited already, else new ones, oldest first.

    A running transform is left alone, as it may have read the directory before.
    """
    concerned = {watcher.id: watcher for watcher in watchers if watcher.news}
    if not concerned:
        return []
    transforms = collection_of(documents.Transform)
    waits = {"resourceRef": {"$in": sorted(concerned)}, "status": ActivityStatus.READY.value}
    waiting = {row["resourceRef"]: row for row in await transforms.find(waits, session=session).to_list()}
    joined = [_joined(row, concerned[id]) for id, row in waiting.items()]
    if joined:
        await transforms.bulk_write(joined, session=session)
    new = [_new(one) for id, one in concerned.items() if id not in waiting]
    if new:
        # A transform requested at the same moment makes this transaction retry.
        await documents.Transform.insert_many(new, session=session)
    return await transforms.find(waits, sort=[("created_at", 1), ("_id", 1)], session=session).to_list()


def _joined(row: Row, watcher: Watcher) -> UpdateOne:
    cause = TransformCause.model_validate(row["cause"]) if row.get("cause") else _cause()
    _add(cause, watcher)
    still_waits = {"_id": row["_id"], "status": ActivityStatus.READY.value}
    return UpdateOne(still_waits, {"$set": {"cause": cause.model_dump(by_alias=True)}})


def _new(watcher: Watcher) -> documents.Transform:
    cause = _cause()
    _add(cause, watcher)
    return documents.Transform(
        resource_ref=watcher.id, status=ActivityStatus.READY, code=frozen(watcher.code), cause=cause
    )


def _cause() -> TransformCause:
    return TransformCause(kind=TransformCauseKind.FILES_CHANGED)


def _add(cause: TransformCause, watcher: Watcher) -> None:
    """Add files to the cause by name, up to the limit, and count the others."""
    for url, was_pending in watcher.news.items():
        unnamed = cause.file_count > len(cause.files) and was_pending
        if url in cause.files or unnamed:
            continue
        cause.file_count += 1
        if len(cause.files) < MOST_LISTED:
            cause.files.append(url)
    if cause.kind is TransformCauseKind.FILES_CHANGED:
        cause.message = "1 file is new or has changed." if cause.file_count == 1 else _many(cause.file_count)


def _many(files: int) -> str:
    named = f" The first {MOST_LISTED:,} are named." if files > MOST_LISTED else ""
    return f"{files:,} files are new or have changed.{named}"
