"""States of data that lies elsewhere: recording each once, for all activities that used it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

import documents
from documents.base import now
from documents.mongo.transaction import Session
from documents.provenance.external_data import MAX_REPORTS, external_data_id
from documents.provenance.used import Used
from resolvers.reads.rows import Row, collection_of
from resolvers.writes.transaction import RetryTransaction
from resolvers.writes.unique_index_errors import duplicate_key_errors


class ExternalState(NamedTuple):
    """A state of data at a URL, which is in its normal form, and what a report says of it."""

    url: str
    version: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    media_type: str | None = None

    @property
    def id(self) -> str:
        """The id of the document of this state."""
        return external_data_id(self.url, self.version, self.sha256)

    def used(self, *, declared: bool = False) -> Used:
        """The state as an activity uses it."""
        assumed = self.version is None and self.sha256 is None
        return Used(ref=self.id, sha256=self.sha256, assumed=assumed, declared=declared)


class Reporter(NamedTuple):
    """Whose activity used the data: None for transforms, which are public. Public activities make the data public."""

    owner_ref: str | None = None
    public: bool = False


PUBLIC = Reporter(public=True)
"""Reporter of transforms and of whatever else everybody may see."""


def reporter_of(activity: Row) -> Reporter:
    """The reporter of a step, which belongs to somebody, or of a transform."""
    return Reporter(activity["ownerRef"], activity["public"]) if "ownerRef" in activity else PUBLIC


async def upsert_external_data(states: Iterable[ExternalState], reporter: Reporter, session: Session) -> None:
    """Store the states that are new, and what this reporter says of them. Nothing that is known is overwritten.

    Reporting a state again writes nothing. Raises RetryTransaction when another transaction has just stored one.
    """
    at = now()
    # In the order of ids, so that transactions that report the same states conflict at the first one.
    writes = [
        UpdateOne({"_id": id}, [{"$set": _fields(state, reporter, at)}], upsert=True)
        for id, state in sorted(_states_by_id(states).items())
    ]
    if not writes:
        return
    try:
        await collection_of(documents.ExternalData).bulk_write(writes, session=session)
    except BulkWriteError as error:
        duplicate_key_errors(error)
        raise RetryTransaction from error


def _states_by_id(states: Iterable[ExternalState]) -> dict[str, ExternalState]:
    """The states by id, each with the first size and the first media type that are reported."""
    by_id: dict[str, ExternalState] = {}
    for state in states:
        first = by_id.setdefault(state.id, state)
        size_bytes = state.size_bytes if first.size_bytes is None else first.size_bytes
        by_id[state.id] = first._replace(size_bytes=size_bytes, media_type=first.media_type or state.media_type)
    return by_id


def _fields(state: ExternalState, reporter: Reporter, at: datetime) -> dict[str, Any]:
    """The fields of a state after a report, as expressions of those before."""
    reported: dict[str, Any] = {"size_bytes": state.size_bytes, "media_type": state.media_type}
    shared = reported | {"created_at": at} if reporter.public else dict.fromkeys((*reported, "created_at"))
    return {
        "url": {"$literal": state.url},
        "version": {"$literal": state.version},
        "sha256": {"$literal": state.sha256},
        "public": True if reporter.public else {"$ifNull": ["$public", False]},
        **{name: _value_or(f"${name}", value) for name, value in shared.items()},
        **_reports(None if reporter.public else reporter.owner_ref, reported | {"at": at}),
    }


def _value_or(path: str, value: Any) -> dict[str, Any]:
    """The value at a path, or this one where there is none."""
    return {"$ifNull": [path, {"$literal": value}]}


def _reports(owner_ref: str | None, reported: dict[str, Any]) -> dict[str, Any]:
    """The reports, and their owners. What the owner said first stays, and gaps in it are filled."""
    owners, reports = {"$ifNull": ["$ownerRefs", []]}, {"$ifNull": ["$reports", []]}
    if owner_ref is None:
        return {"ownerRefs": owners, "reports": reports}
    filled = {
        "$mergeObjects": ["$$report", {name: _value_or(f"$$report.{name}", value) for name, value in reported.items()}]
    }
    is_owners = {"$eq": ["$$report.ownerRef", owner_ref]}
    same = {"$map": {"input": reports, "as": "report", "in": {"$cond": [is_owners, filled, "$$report"]}}}
    first = {"ownerRef": owner_ref, **{name: {"$literal": value} for name, value in reported.items()}}
    stays = {"$or": [{"$in": [owner_ref, owners]}, {"$gte": [{"$size": reports}, MAX_REPORTS]}]}
    return {
        "ownerRefs": {"$cond": [stays, owners, {"$concatArrays": [owners, [owner_ref]]}]},
        "reports": {"$cond": [stays, same, {"$concatArrays": [reports, [first]]}]},
    }
