"""Who may see data that lies elsewhere when the rights to the steps that used it change."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import documents
from documents.base import now
from documents.mongo.transaction import Session
from documents.provenance.external_data import MAX_REPORTS
from resolvers.filters import Filter
from resolvers.reads.rows import Row, collection_of

# "`" is the character after "_", so these are all ids that begin so.
IDS = {"$gte": f"{documents.ExternalData.kind}_", "$lt": f"{documents.ExternalData.kind}`"}
FACTS = {"size_bytes": "size_bytes", "media_type": "media_type", "created_at": "at"}
"""The fields of a report, by those of a state that it fills when the state becomes public."""


async def data_of_steps(steps: Filter, limit: int, session: Session) -> dict[str, list[str]]:
    """The ids of the data that these steps used, at most `limit`, by the owners of the steps."""
    stages: list[Row] = [
        {"$match": steps | {"used": {"$elemMatch": {"ref": IDS}}}},
        {"$project": {"ownerRef": 1, "used.ref": 1}},
        {"$unwind": "$used"},
        {"$match": {"used.ref": IDS}},
        {"$group": {"_id": {"owner": "$ownerRef", "ref": "$used.ref"}}},
        {"$limit": limit},
    ]
    ids: defaultdict[str, list[str]] = defaultdict(list)
    async with await collection_of(documents.Step).aggregate(stages, session=session) as rows:
        async for row in rows:
            ids[row["_id"]["owner"]].append(row["_id"]["ref"])
    return ids


async def publish_data(ids: Sequence[str], owner_ref: str, session: Session) -> None:
    """Let everybody see data that a step of this owner used, with what the owner reported of it."""
    at = now()
    reported = {name: {"$ifNull": [f"${name}", f"$$report.{field}"]} for name, field in FACTS.items()}
    # A state may have no report of this owner: only the first ones are kept.
    defaults = {name: at if name == "created_at" else None for name in FACTS}
    shown = {name: {"$ifNull": [expression, defaults[name]]} for name, expression in reported.items()}
    report = {"report": _first_report(owner_ref)}
    facts = {name: {"$let": {"vars": report, "in": expression}} for name, expression in shown.items()}
    await _update(ids, facts | {"public": True}, session)


async def add_owner(ids: Sequence[str], owner_ref: str, new_owner_ref: str, session: Session) -> None:
    """Let another user see data that a step of this owner used, with what this owner reported of it."""
    copied = {"$mergeObjects": [{"at": now()}, _first_report(owner_ref), {"ownerRef": new_owner_ref}]}
    owners, reports = {"$ifNull": ["$ownerRefs", []]}, {"$ifNull": ["$reports", []]}
    stays = {"$or": [{"$in": [new_owner_ref, owners]}, {"$gte": [{"$size": reports}, MAX_REPORTS]}]}
    changes = {
        "ownerRefs": {"$cond": [stays, owners, {"$concatArrays": [owners, [new_owner_ref]]}]},
        "reports": {"$cond": [stays, reports, {"$concatArrays": [reports, [copied]]}]},
    }
    await _update(ids, changes, session)


def _first_report(owner_ref: str) -> Row:
    """The expression for the owner's report; missing where there is none."""
    is_owners = {"$eq": ["$$one.ownerRef", owner_ref]}
    return {"$first": {"$filter": {"input": "$reports", "as": "one", "cond": is_owners}}}


async def _update(ids: Sequence[str], changes: dict[str, Any], session: Session) -> None:
    # Sorted, as in upserts, so that transactions that change the same states conflict at the first one.
    match = {"_id": {"$in": sorted(ids)}}
    await collection_of(documents.ExternalData).update_many(match, [{"$set": changes}], session=session)
