"""Newer generations: those that an earlier version of the reader derived from reports, or that have grown since."""

import re
from collections.abc import Iterable, Mapping

from documents.galaxy.generation import GenerationStatus
from resolvers.concurrency import event_loop
from resolvers.provenance.staleness.causes import Cause, Causes, StalenessCauseKind
from resolvers.reads.rows import Row

GENERATION_FIELDS = frozenset({"parser_version", "status", "content_hash"})
USE_FIELDS = frozenset({"used.ref", "used.contentHash"})


def generation_causes(generations: list[Row], reader_version: str) -> Causes:
    """How generations have moved on, when reports are read by this version of the reader now."""
    causes = Causes()
    for generation in generations:
        causes.add(generation["_id"], _causes(generation, reader_version))
    return causes


async def grown_generation_causes(generations: list[Row], users: list[Row]) -> Causes:
    """How generations have moved on since these steps and transforms used them, at those that used them."""
    now, causes = {row["_id"]: row["content_hash"] for row in generations}, Causes()
    weights = (event_loop.weight_of_ids(user.get("used") or ()) for user in users)
    async for some in event_loop.weighted_batches(users if now else [], weights if now else ()):
        for user in some:
            causes.add(user["_id"], _growth_causes(user.get("used") or (), now))
    return causes


def _growth_causes(used: Iterable[Row], now: Mapping[str, str | None]) -> Iterable[Cause]:
    for one in used:
        id, used_hash = one["ref"], one.get("contentHash")
        if id in now and used_hash is not None and now[id] != used_hash:
            yield Cause(StalenessCauseKind.NEWER_DATA, used_hash, now[id], id)


def _causes(generation: Row, reader_version: str) -> Iterable[Cause]:
    used = generation["parser_version"]
    if _order(used) < _order(reader_version):
        yield Cause(StalenessCauseKind.NEWER_READER, used, reader_version)
    if generation["status"] == GenerationStatus.DISCARDED.value:
        yield Cause(StalenessCauseKind.WITHDRAWN)


def _order(version: str) -> list[int]:
    """The numbers of a version, by which versions are ordered."""
    return [int(number) for number in re.findall("[0-9]+", version)]
