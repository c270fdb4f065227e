"""Due transforms of resources with new files: one waits for each resource, and names these files."""

from pymongo import UpdateOne

import documents
from documents.activities.activity import ActivityStatus
from documents.catalogue.transform import FileState, TransformCause, TransformCauseKind
from documents.mongo.transaction import Session
from resolvers.file_events.code_repo import code_references
from resolvers.file_events.monitor_dirs import Watcher
from resolvers.reads.rows import Row, collection_of

MAX_NAMED_FILES = 1_000
"""Files that a cause names; further ones are only counted."""


async def mark_transforms_due(watchers: list[Watcher], session: Session) -> list[Row]:
    """Mark a transform of each watcher with new files as due; returns those that waited or are new, oldest first.

    A running transform is left alone, as it may have read the directory before.
    """
    by_resource = {watcher.id: watcher for watcher in watchers if watcher.new_files}
    if not by_resource:
        return []
    transforms = collection_of(documents.Transform)
    is_waiting = {"resourceRef": {"$in": sorted(by_resource)}, "status": ActivityStatus.READY.value}
    waiting = {row["resourceRef"]: row for row in await transforms.find(is_waiting, session=session).to_list()}
    updates = [_add_files_to(row, by_resource[id]) for id, row in waiting.items()]
    if updates:
        await transforms.bulk_write(updates, session=session)
    new = [_new_transform(watcher) for id, watcher in by_resource.items() if id not in waiting]
    if new:
        # A transform requested at the same moment makes this transaction retry.
        await documents.Transform.insert_many(new, session=session)
    return await transforms.find(is_waiting, sort=[("created_at", 1), ("_id", 1)], session=session).to_list()


def _add_files_to(row: Row, watcher: Watcher) -> UpdateOne:
    """The update that adds the watcher's new files to a transform that still waits."""
    cause = TransformCause.model_validate(row["cause"]) if row.get("cause") else _file_change_cause()
    _add_files(cause, watcher)
    still_waits = {"_id": row["_id"], "status": ActivityStatus.READY.value}
    return UpdateOne(still_waits, {"$set": {"cause": cause.model_dump(by_alias=True)}})


def _new_transform(watcher: Watcher) -> documents.Transform:
    cause = _file_change_cause()
    _add_files(cause, watcher)
    return documents.Transform(
        resource_ref=watcher.id, status=ActivityStatus.READY, code=code_references(watcher.code), cause=cause
    )


def _file_change_cause() -> TransformCause:
    return TransformCause(kind=TransformCauseKind.FILES_CHANGED)


def _add_files(cause: TransformCause, watcher: Watcher) -> None:
    """Add files to the cause by name and state, up to the limit, and count the others."""
    cause.states += [None] * (len(cause.files) - len(cause.states))
    places = {url: place for place, url in enumerate(cause.files)}
    for url, new in watcher.new_files.items():
        state = FileState(generation=new.file.generation, sha256=new.file.sha256, file_size=new.file.file_size)
        if url in places:
            cause.states[places[url]] = state
            continue
        if new.was_pending and cause.file_count > len(cause.files):
            # It is one of those that are only counted.
            continue
        cause.file_count += 1
        if len(cause.files) < MAX_NAMED_FILES:
            cause.files.append(url)
            cause.states.append(state)
    if cause.kind is TransformCauseKind.FILES_CHANGED:
        cause.message = _message(cause.file_count)


def _message(files: int) -> str:
    if files == 1:
        return "1 file is new or has changed."
    limit = f" The first {MAX_NAMED_FILES:,} are named." if files > MAX_NAMED_FILES else ""
    return f"{files:,} files are new or have changed.{limit}"
