"""Merging organisations that were created by mistake into the right one."""

from collections import defaultdict
from collections.abc import Sequence

import documents
from documents.base import now
from documents.mongo.transaction import Session
from resolvers.access.roles import require_role
from resolvers.access.viewer import Viewer
from resolvers.filters import Filter
from resolvers.limits import MAX_MERGED_ORGANISATIONS, MAX_MOVED_RESOURCES
from resolvers.reads.rows import Row, collection_of
from resolvers.reads.successors import successors
from resolvers.user_errors import AlreadyExists, InvalidInput, LimitExceeded, NotFound, Refusal, Refusals
from resolvers.writes.store import get_readable, update
from resolvers.writes.transaction import Outcome

MAX_NAMED_CLASHES = 20
"""Clashes that a refusal names."""


async def merge_organisations(
    session: Session, viewer: Viewer, *, id: str, duplicate_ids: Sequence[str], expected_revision: int | None = None
) -> Outcome:
    """Move the duplicates' resources to the organisation, let their ids and URLs lead to it, and return it.

    Duplicates that were merged into it before are passed over. Raises NotFound, RevisionConflict, LimitExceeded, and
    Refusals with the resources of several that have the same landing page and code.
    """
    require_role(viewer)
    organisation = await get_readable(documents.Organisation, id, viewer, session, "id")
    duplicates = await _duplicates(organisation, duplicate_ids, session)
    merged = [row["_id"] for row in duplicates]
    await _check_natural_keys(organisation["_id"], merged, session)
    # Written to, so that this conflicts with a concurrent merge of this organisation into another.
    lock = {"additions": organisation.get("additions", 0) + 1} if merged else {}
    changed = await update(documents.Organisation, organisation, lock, expected_revision, session)
    if merged:
        await _move_resources(merged, changed["_id"], session)
        await _retire(duplicates, changed["_id"], session)
    return {"organisation": changed}


async def _duplicates(organisation: Row, ids: Sequence[str], session: Session) -> list[Row]:
    """The organisations to be merged, except those merged into this one before. Raises Refusals."""
    if not 1 <= len(ids) <= MAX_MERGED_ORGANISATIONS:
        raise LimitExceeded(
            f"1 to {MAX_MERGED_ORGANISATIONS} organisations are merged in one call, not {len(ids)}.", "duplicateIds"
        )
    cursor = collection_of(documents.Organisation).find({"_id": {"$in": ids}}, session=session)
    existing = {row["_id"]: row async for row in cursor}
    merged_before = await successors(documents.Organisation, "_id", ids, session)
    refusals: list[Refusal] = []
    for number, id in enumerate(ids):
        path = ("duplicateIds", str(number))
        if id == organisation["_id"]:
            refusals.append(InvalidInput(f"{id} cannot be merged into itself.", *path))
        elif (into := merged_before.get(id)) not in (None, organisation["_id"]):
            refusals.append(InvalidInput(f"{id} was merged into {into} already.", *path))
        elif id not in existing and into is None:
            refusals.append(NotFound("Organisation", id, *path))
    if refusals:
        raise Refusals(refusals)
    return list(existing.values())


async def _check_natural_keys(organisation_id: str, duplicate_ids: list[str], session: Session) -> None:
    """Raise Refusals when resources would have the same natural key within one organisation, LimitExceeded for too
    many."""
    moving = await _natural_keys({"organisationRef": {"$in": duplicate_ids}}, session)
    if len(moving) > MAX_MOVED_RESOURCES:
        raise LimitExceeded(
            f"More than {MAX_MOVED_RESOURCES:,} resources would move; merge fewer organisations.", "duplicateIds"
        )
    in_target: Filter = {"organisationRef": organisation_id, "naturalKey": {"$in": [key for _, key in moving if key]}}
    ids_by_key: defaultdict[str, list[str]] = defaultdict(list)
    for id, key in (*await _natural_keys(in_target, session), *moving):
        if key is not None:
            ids_by_key[key].append(id)
    clashes = [ids for ids in ids_by_key.values() if len(ids) > 1]
    if clashes:
        raise Refusals([_clash(ids) for ids in clashes[:MAX_NAMED_CLASHES]])


async def _natural_keys(match: Filter, session: Session) -> list[tuple[str, str | None]]:
    """Id and natural key of the matching resources, of at most one more than may be moved."""
    cursor = collection_of(documents.Resource).find(
        match, {"naturalKey": 1}, limit=MAX_MOVED_RESOURCES + 1, session=session
    )
    return [(row["_id"], row.get("naturalKey")) async for row in cursor]


def _clash(ids: list[str]) -> AlreadyExists:
    return AlreadyExists(
        f"{' and '.join(ids)} have the same landing page and code, which must be unique in an organisation: change the "
        "landing page of all but one with updateResource, and merge again.",
        "duplicateIds",
    )


async def _move_resources(from_ids: list[str], to_id: str, session: Session) -> None:
    changes = {"$set": {"organisationRef": to_id, "updated_at": now()}, "$inc": {"revision": 1}}
    in_duplicates: Filter = {"organisationRef": {"$in": from_ids}}
    await collection_of(documents.Resource).update_many(in_duplicates, changes, session=session)


async def _retire(duplicates: list[Row], into: str, session: Session) -> None:
    """Redirect the ids and URLs of these organisations, all earlier redirects to them, and tokens that are bound to
    them, to another one."""
    ids = [row["_id"] for row in duplicates]
    await collection_of(documents.Organisation).delete_many({"_id": {"$in": ids}}, session=session)
    leads_there: Filter = {"organisationRef": {"$in": ids}}
    into_target = {"$set": {"organisationRef": into}}
    await collection_of(documents.Token).update_many(leads_there, into_target, session=session)
    former = collection_of(documents.FormerOrganisation)
    await former.update_many(leads_there, into_target, session=session)
    rows = [documents.FormerOrganisation(id=row["_id"], url=row["url"], organisation_ref=into) for row in duplicates]
    await documents.FormerOrganisation.insert_many(rows, session=session)
