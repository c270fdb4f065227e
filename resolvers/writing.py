"""Writing once: every mutation runs in one transaction, under an idempotency key when the client gave one.

A key is reserved by a unique insert before the work begins, and the answer is kept with it in the transaction of the
work itself: whatever happens in between, the work is done once or not at all.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from contextvars import Context
from datetime import timedelta
from typing import Any

from bson import ObjectId
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

import documents
from documents.base import now
from documents.database import in_transaction
from resolvers.fetch import Row, collection_of
from resolvers.links import Document
from resolvers.policies import readable
from resolvers.refusals import Forbidden, IdempotencyMismatch, InProgress, InvalidInput, NotFound, RevisionConflict
from resolvers.viewer import Role, Viewer

Session = AsyncClientSession
Outcome = dict[str, Any]
"""What a mutation wrote, by the payload's field: a row, a list of rows, or a plain value."""

Work = Callable[[Session], Awaitable[Outcome]]

LEASE = timedelta(seconds=60)
"""How long a call may be at work under a key before another may take it over."""

PATIENCE = 6.0
"""Seconds that a repeated call waits for the first one to end: fewer than a request has with the database."""

RELEASED_WITHIN = 1.0
"""Seconds that a call which failed waits until its key is free; it becomes free later all the same."""

LONGEST_KEY = 255


_releasing: set["asyncio.Task[Any]"] = set()


class Again(Exception):
    """Somebody else wrote the same thing first: look again."""


async def write(viewer: Viewer, mutation: str, inputs: dict[str, Any], key: str | None, work: Work) -> Outcome:
    """What `work` wrote, once it is committed; with a `key`, what it wrote the first time."""
    refuse_anonymous(viewer)
    if key is None:
        return await committed(work)
    if not 1 <= len(key) <= LONGEST_KEY:
        raise InvalidInput(f"idempotencyKey must have 1 to {LONGEST_KEY} characters, not {len(key)}.", "idempotencyKey")
    reservation = _reservation(viewer, mutation, inputs, key)
    try:
        earlier = await _reserve(reservation)
        if earlier is None:
            return await _kept(reservation, work)
    except BaseException:
        await _release(reservation)
        raise
    outcome: Outcome = await _restored(earlier)
    return outcome


async def committed(work: Work) -> Outcome:
    """What `work` wrote, once it is committed; done again when somebody else wrote the same first."""
    for _ in range(5):
        try:
            return await in_transaction(work)
        except Again:
            continue
    return await in_transaction(work)


async def _kept(reservation: documents.Reservation, work: Work) -> Outcome:
    held = {"_id": reservation.id, "holder": reservation.holder}

    async def work_and_keep(session: Session) -> Outcome:
        outcome = await work(session)
        kept = await _reservations().update_one(held, {"$set": {"outcome": _portable(outcome)}}, session=session)
        if not kept.matched_count:
            raise InProgress("Another call with this idempotencyKey took over.", "idempotencyKey")
        return outcome

    return await committed(work_and_keep)


async def _release(reservation: documents.Reservation) -> None:
    """Free the key for another try, if it is held for this call and nothing was written under it."""
    unused = {"_id": reservation.id, "holder": reservation.holder, "outcome": None}
    # In a context of its own: the time that the request has with the database may be over.
    task = asyncio.get_running_loop().create_task(_reservations().delete_one(unused), context=Context())
    _releasing.add(task)
    task.add_done_callback(_released)
    await asyncio.wait({task}, timeout=RELEASED_WITHIN)


def _released(task: "asyncio.Task[Any]") -> None:
    _releasing.discard(task)
    if not task.cancelled():
        # Where the database is away, the key is free when its lease has lapsed.
        task.exception()


def _reservation(viewer: Viewer, mutation: str, inputs: dict[str, Any], key: str) -> documents.Reservation:
    scope = json.dumps([viewer.role.value, viewer.user_id, viewer.token_id, mutation, key])
    canonical = json.dumps(inputs, sort_keys=True, default=str)
    return documents.Reservation(
        id=f"reservation_{hashlib.sha256(scope.encode()).hexdigest()}",
        fingerprint=hashlib.sha256(canonical.encode()).hexdigest(),
        holder=str(ObjectId()),
        lease_expires_at=now() + LEASE,
    )


async def _reserve(reservation: documents.Reservation) -> Outcome | None:
    """None when the key is ours now, else the outcome kept by the call that had it first."""
    for wait in _waits():
        try:
            await reservation.insert()
        except DuplicateKeyError:
            held = await _reservations().find_one({"_id": reservation.id})
        else:
            return None
        if held is None:
            continue
        if held["fingerprint"] != reservation.fingerprint:
            raise IdempotencyMismatch("This idempotencyKey was used before, with another input.", "idempotencyKey")
        if held["outcome"] is not None:
            found: Outcome = held["outcome"]
            return found
        if await _taken_over(held, reservation):
            return None
        await asyncio.sleep(wait)
    raise InProgress("The first call with this idempotencyKey is still at work; ask again later.", "idempotencyKey")


def _waits() -> list[float]:
    waits = [0.01 * 1.5**n for n in range(9)]
    return waits + [0.4] * int((PATIENCE - sum(waits)) / 0.4)


async def _taken_over(held: Row, reservation: documents.Reservation) -> bool:
    """Whether a call that went silent was replaced by this one."""
    lapsed = {"_id": held["_id"], "holder": held["holder"], "outcome": None, "leaseExpiresAt": {"$lt": now()}}
    ours = {"holder": reservation.holder, "leaseExpiresAt": reservation.lease_expires_at}
    taken = await _reservations().update_one(lapsed, {"$set": ours})
    return bool(taken.modified_count)


def _reservations() -> Any:
    return collection_of(documents.Reservation)


def _portable(outcome: Any) -> Any:
    """An outcome with ids in the place of rows."""
    if isinstance(outcome, list):
        return [_portable(one) for one in outcome]
    if isinstance(outcome, dict) and "_id" in outcome:
        return {"row": outcome["_id"]}
    if isinstance(outcome, dict):
        return {"values": {name: _portable(one) for name, one in outcome.items()}}
    return outcome


async def _restored(kept: Any) -> Any:
    """The outcome again, with its rows as they are now."""
    if isinstance(kept, list):
        return [await _restored(one) for one in kept]
    if isinstance(kept, dict) and "row" in kept:
        document = documents.by_kind(kept["row"])
        return await collection_of(document).find_one({"_id": kept["row"]}) if document else None
    if isinstance(kept, dict):
        return {name: await _restored(one) for name, one in kept["values"].items()}
    return kept


def refuse_anonymous(viewer: Viewer) -> None:
    """Refuse a caller of whom nothing is known, before anything else is done."""
    if viewer.role is Role.ANONYMOUS:
        raise Forbidden("Anonymous callers write nothing: send an API token or sign in.")


def require(viewer: Viewer, *roles: Role) -> None:
    """Refuse viewers of other roles. Administrators may do everything."""
    refuse_anonymous(viewer)
    if viewer.role is Role.ADMIN or viewer.role in roles:
        return
    allowed = " or ".join(role.value for role in (*roles, Role.ADMIN))
    raise Forbidden(f"This takes the role {allowed}; yours is {viewer.role.value}.")


async def insert(document: documents.Document, session: Session) -> Row:
    """Store a new document; its row."""
    await document.insert(session=session)
    row = await collection_of(type(document)).find_one({"_id": document.id}, session=session)
    if row is None:
        raise LookupError(document.id)
    return row


async def insert_unless_there(document: documents.Document, session: Session) -> Row:
    """The same; when somebody stored it at the same time, the work is done again and finds theirs."""
    try:
        return await insert(document, session)
    except DuplicateKeyError as error:
        raise Again from error


async def visible(document: Document, id: str, viewer: Viewer, session: Session, *path: str) -> Row:
    """The row with this id. Raises NotFound when it is malformed, unknown or hidden from the viewer alike."""
    filters = [{"_id": id}, readable(document, viewer)]
    row = await collection_of(document).find_one({"$and": filters}, session=session)
    if row is None:
        raise NotFound(document.__name__, id, *path)
    return row


async def update(
    document: Document, row: Row, changes: dict[str, Any], expected_revision: int | None, session: Session
) -> Row:
    """Apply `changes`, by stored name, as one conditional write that raises the revision. Raises RevisionConflict."""
    collection = collection_of(document)
    match = {"_id": row["_id"]} | ({} if expected_revision is None else {"revision": expected_revision})
    changed = await collection.find_one_and_update(
        match,
        {"$set": changes | {"updated_at": now()}, "$inc": {"revision": 1}},
        return_document=True,
        session=session,
    )
    if changed is not None:
        found: Row = changed
        return found
    current = await collection.find_one({"_id": row["_id"]}, session=session)
    if current is None or expected_revision is None:
        raise NotFound(document.__name__, row["_id"], "id")
    raise RevisionConflict(document.__name__, expected_revision, current)
