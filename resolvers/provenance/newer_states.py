"""Newer states: later states of data that lies elsewhere, as far as the viewer may know when each was told of.

What a private activity reported of a state, and when, is shown with that activity alone.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import documents
from resolvers.access.policies import owns
from resolvers.access.viewer import Role, Viewer
from resolvers.filters import Filter, all_of
from resolvers.provenance.causes import Cause, Causes, StalenessCauseKind
from resolvers.reads.rows import Row, collection_of
from resolvers.reads.semi_join import policy_filter

EXTERNAL_DATA_FIELDS = frozenset({"url", "version", "sha256", "created_at"})
Owners = Mapping[str, set[str]]
"""The owners of activities that used a state and that the viewer may see, by the state's id."""


async def external_data_causes(states: list[Row], owners: Owners, viewer: Viewer) -> Causes:
    """The latest state at the URL of each state, if it is a later one with other bytes. One round trip of two reads.

    Nobody can tell of a state without a version and a hash.
    """
    if not states:
        return Causes()
    urls = {state["url"] for state in states}
    told_at, latest = await asyncio.gather(_told_at(states, owners, viewer), _latest_states(urls, viewer))
    causes = Causes()
    for state in states:
        at, newest = told_at.get(state["_id"]), latest.get(state["url"])
        if _name(state) is None or at is None:
            causes.unknown.add(state["_id"])
        elif newest is not None and newest["at"] > at and not _same_bytes(state, newest):
            causes.add(state["_id"], [Cause(StalenessCauseKind.NEWER_DATA, _name(state), _name(newest))])
    return causes


def _name(state: Row) -> str | None:
    """What tells a state from others: its version, or else its hash."""
    return state.get("version") or state.get("sha256")


def _same_bytes(one: Row, other: Row) -> bool:
    return one.get("sha256") is not None and one.get("sha256") == other.get("sha256")


async def _told_at(states: list[Row], owners: Owners, viewer: Viewer) -> dict[str, datetime]:
    """The times at which states were first told of, by id, where the viewer may know them."""
    public = {state["_id"]: state["created_at"] for state in states if state.get("created_at") is not None}
    private = {state["_id"] for state in states} - public.keys()
    if not private:
        return public
    users = {owner for id in private for owner in owners.get(id, ())}
    stages: list[Row] = [
        {"$match": {"_id": {"$in": sorted(private)}}},
        {"$project": {"reports": _reports_of(viewer, users)}},
    ]
    rows = await (await collection_of(documents.ExternalData).aggregate(stages)).to_list()
    times = {
        row["_id"]: [
            report["at"]
            for report in row["reports"]
            if owns(viewer, report["ownerRef"]) or report["ownerRef"] in owners.get(row["_id"], ())
        ]
        for row in rows
    }
    return public | {id: min(of_state) for id, of_state in times.items() if of_state}


async def _latest_states(urls: set[str], viewer: Viewer) -> dict[str, Row]:
    """The state of each URL that was told of last, among those that the viewer may see and whose state is known."""
    of_urls: Filter = {"url": {"$in": sorted(urls)}, "$or": [{"version": {"$ne": None}}, {"sha256": {"$ne": None}}]}
    fields = {name: f"${name}" for name in ("version", "sha256", "at")}
    stages: list[Row] = [
        {"$match": all_of([of_urls, await policy_filter(documents.ExternalData, viewer)])},
        {"$set": {"reports": _reports_of(viewer, set())}},
        {"$set": {"at": {"$ifNull": ["$created_at", {"$min": "$reports.at"}]}}},
        {"$group": {"_id": "$url", "last": {"$top": {"sortBy": {"at": -1, "_id": -1}, "output": fields}}}},
    ]
    cursor = await collection_of(documents.ExternalData).aggregate(stages)
    return {row["_id"]: row["last"] async for row in cursor if row["last"]["at"] is not None}


def _reports_of(viewer: Viewer, users: set[str]) -> Any:
    """The expression for the reports of these users and the viewer, for an ADMIN for all."""
    if viewer.role is Role.ADMIN:
        return "$reports"
    readable = sorted(users | {viewer.user_id or ""})
    return {"$filter": {"input": "$reports", "cond": {"$in": ["$$this.ownerRef", {"$literal": readable}]}}}
