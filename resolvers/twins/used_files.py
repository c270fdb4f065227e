"""Existing outputs that steps use as inputs, which may belong to others.

A viewer sees those that they may read. The worker that holds a step reads them with the current rights of the step's
owner, and is refused all of them where one is missing: it would run the step with fewer inputs than requested.
"""

from collections.abc import Iterable
from itertools import chain

import documents
from documents.activities.activity import ActivityStatus
from resolvers.access.policies import readable
from resolvers.access.viewer import Role, Viewer
from resolvers.filters import Filter, all_of
from resolvers.reads import lookups
from resolvers.reads.page_request import PageRequest
from resolvers.reads.rows import Fields, Row, collection_of
from resolvers.user_errors import LimitExceeded, Refusal

MAX_USED_IN_ANSWER = 10_000
"""Outputs used by the steps of an answer: as many as the steps of one execution may use."""


class NotReadable(Refusal):
    """A step uses an output that its owner may not read, or that is gone."""

    code = "NOT_FOUND"

    def __init__(self, step: Row, id: str) -> None:
        super().__init__(
            f"Output {id}, which step {step['_id']} uses, was deleted, or is no longer shared with the owner."
        )


async def used_files(steps: list[Row], viewer: Viewer, request: PageRequest, fields: Fields) -> list[list[Row]]:
    """The outputs that each step uses and the viewer may read, up to the given number, with these fields.

    Raises NotReadable for a step that the viewer holds, and LimitExceeded.
    """
    if not any(map(_used_keys, steps)):
        return [[] for _ in steps]
    await _check_all_readable(steps, viewer)
    readers = [_reader(step, viewer) for step in steps]
    readable_ids = await _readable_ids(steps, readers, request.bounds())
    first = [
        sorted(_used_keys(step).keys() & readable_ids[reader], reverse=request.backwards)[: request.limit]
        for step, reader in zip(steps, readers, strict=True)
    ]
    rows = {
        reader: await lookups.by_ids(documents.Output, chain(*_lists_of(reader, first, readers)), fields, reader)
        for reader in readable_ids
    }
    return [
        [_as_file(rows[reader][id], step, viewer) for id in ids if id in rows[reader]]
        for step, ids, reader in zip(steps, first, readers, strict=True)
    ]


async def count_used(steps: list[Row], viewer: Viewer) -> list[int]:
    """The number of outputs that each step uses and the viewer may read."""
    if not any(map(_used_keys, steps)):
        return [0] * len(steps)
    readers = [_reader(step, viewer) for step in steps]
    readable_ids = await _readable_ids(steps, readers, [])
    return [len(_used_keys(step).keys() & readable_ids[reader]) for step, reader in zip(steps, readers, strict=True)]


async def _check_all_readable(steps: list[Row], viewer: Viewer) -> None:
    held = [step for step in steps if _holds(viewer, step)]
    readers = [_reader(step, viewer) for step in held]
    readable_ids = await _readable_ids(held, readers, [])
    for step, reader in zip(held, readers, strict=True):
        if missing := sorted(_used_keys(step).keys() - readable_ids[reader]):
            raise NotReadable(step, missing[0])


async def _readable_ids(steps: list[Row], readers: list[Viewer], bounds: list[Filter]) -> dict[Viewer, set[str]]:
    """The ids of the outputs that each reader may read, of all that their steps use."""
    if sum(len(_used_keys(step)) for step in steps) > MAX_USED_IN_ANSWER:
        raise LimitExceeded(f"These steps use more than {MAX_USED_IN_ANSWER:,} outputs: ask for fewer steps at once.")
    outputs = collection_of(documents.Output)
    ids_by_reader: dict[Viewer, set[str]] = {}
    for reader in dict.fromkeys(readers):
        ids = sorted(set(chain(*_lists_of(reader, map(_used_keys, steps), readers))))
        match = all_of([{"_id": {"$in": ids}}, readable(documents.Output, reader), *bounds])
        ids_by_reader[reader] = {row["_id"] async for row in outputs.find(match, {"_id": 1})} if ids else set()
    return ids_by_reader


def _lists_of(reader: Viewer, lists: Iterable[Iterable[str]], readers: list[Viewer]) -> list[Iterable[str]]:
    return [ids for ids, of_reader in zip(lists, readers, strict=True) if of_reader == reader]


def _used_keys(step: Row) -> dict[str, str]:
    """The keys under which outputs are used, by the outputs' ids."""
    return {used["ref"]: used["stepKey"] for used in step.get("used") or [] if used.get("stepKey") is not None}


def _holds(viewer: Viewer, step: Row) -> bool:
    return step["status"] == ActivityStatus.RUNNING and step.get("claimed_by") == viewer.key


def _reader(step: Row, viewer: Viewer) -> Viewer:
    """The reader with whose rights the outputs of a step are read."""
    return Viewer(Role.USER, step["ownerRef"]) if _holds(viewer, step) else viewer


def _as_file(output: Row, step: Row, viewer: Viewer) -> Row:
    # Signed URLs are made for the runner of the producing step: here that is the viewer, in the owner's name.
    runs = {"runners": [viewer.key]} if _holds(viewer, step) else {}
    return output | {"step_key": _used_keys(step)[output["_id"]]} | runs
