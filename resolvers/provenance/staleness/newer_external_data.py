"""Newer external data: later states of data that lies elsewhere, by the times that the viewer is shown."""

import asyncio

import documents
from resolvers.access.viewer import Role, Viewer
from resolvers.filters import Filter, all_of
from resolvers.provenance.external_data.facts import UNKNOWN_TIME, times
from resolvers.provenance.staleness.causes import Cause, Causes, StalenessCauseKind
from resolvers.reads.rows import BATCH_SIZE, Row, collection_of
from resolvers.reads.semi_join import policy_filter

EXTERNAL_DATA_FIELDS = frozenset({"url", "version", "sha256", "public", "created_at"})


async def external_data_causes(states: list[Row], viewer: Viewer) -> Causes:
    """The latest state at the URL of each state, if it is a later one with other bytes. One round trip of two reads.

    Nobody can tell of a state without a version and a hash.
    """
    if not states:
        return Causes()
    urls = {state["url"] for state in states}
    reported_at, latest = await asyncio.gather(times(states, viewer), _latest_states(urls, viewer))
    causes = Causes()
    for state, at in zip(states, reported_at, strict=True):
        newest = latest.get(state["url"])
        if _name(state) is None or at == UNKNOWN_TIME:
            causes.unknown.add(state["_id"])
        elif newest is not None and newest["at"] > at and not _same_bytes(state, newest):
            causes.add(state["_id"], [Cause(StalenessCauseKind.NEWER_DATA, _name(state), _name(newest))])
    return causes


def _name(state: Row) -> str | None:
    """The version of a state, or else its hash, by which it is told from others."""
    return state.get("version") or state.get("sha256")


def _same_bytes(one: Row, other: Row) -> bool:
    return one.get("sha256") is not None and one.get("sha256") == other.get("sha256")


async def _latest_states(urls: set[str], viewer: Viewer) -> dict[str, Row]:
    """The state of each URL that was reported last, among those that the viewer may see and whose state is known."""
    of_urls: Filter = {"url": {"$in": sorted(urls)}, "$or": [{"version": {"$ne": None}}, {"sha256": {"$ne": None}}]}
    is_own = {"$eq": ["$$this.ownerRef", {"$literal": viewer.user_id}]}
    own = "$reports" if viewer.role is Role.ADMIN else {"$filter": {"input": "$reports", "cond": is_own}}
    fields = {name: f"${name}" for name in ("version", "sha256", "at")}
    stages: list[Row] = [
        {"$match": all_of([of_urls, await policy_filter(documents.ExternalData, viewer)])},
        {"$set": {"reports": own}},
        {"$set": {"at": {"$ifNull": ["$created_at", {"$min": "$reports.at"}]}}},
        {"$group": {"_id": "$url", "last": {"$top": {"sortBy": {"at": -1, "_id": -1}, "output": fields}}}},
    ]
    cursor = await collection_of(documents.ExternalData).aggregate(stages, batchSize=BATCH_SIZE)
    return {row["_id"]: row["last"] async for row in cursor if row["last"]["at"] is not None}
