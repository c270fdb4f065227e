"""Finding data elsewhere by its URL: the state that was reported last, as far as the viewer may see."""

from datetime import datetime
from typing import Any

import documents
from resolvers.access.viewer import Role, Viewer
from resolvers.filters import Filter, all_of, equals
from resolvers.provenance.external_data.external_url import external_url
from resolvers.reads.rows import Row, collection_of
from resolvers.reads.semi_join import policy_filter
from resolvers.user_errors import InvalidInput

HIDDEN = {"reports": 0, "ownerRefs": 0}
REPORTED_AT = "reported_at"


async def find_external_data(
    viewer: Viewer, *, id: str | None = None, url: str | None = None, version: str | None = None
) -> Row | None:
    """The state with this id, or at this URL: with this version, and of several the one that was reported last.

    Everything that is given must hold. Raises InvalidInput when neither id nor URL is given.
    """
    if id is None and url is None:
        raise InvalidInput("Give id, or url.", code="BAD_USER_INPUT")
    normal_url = None if url is None else external_url(url)
    if url is not None and normal_url is None:
        return None
    given = {"_id": id, "url": normal_url, "version": version}
    match = all_of(
        [
            *(equals(path, value) for path, value in given.items() if value is not None),
            await policy_filter(documents.ExternalData, viewer),
        ]
    )
    states = [await _newest_public(match), await _newest_private(match, viewer)]
    found = [state for state in states if state is not None]
    return max(found, key=lambda state: (state[REPORTED_AT] or datetime.min, state["_id"]), default=None)


async def _newest_public(match: Filter) -> Row | None:
    newest = [("created_at", -1), ("_id", -1)]
    reported: Filter = all_of([match, {"created_at": {"$ne": None}}])
    row: Row | None = await collection_of(documents.ExternalData).find_one(reported, HIDDEN, sort=newest)
    return None if row is None else row | {REPORTED_AT: row["created_at"]}


async def _newest_private(match: Filter, viewer: Viewer) -> Row | None:
    """The newest state that only private steps have named, by the viewer's own reports; by all for administrators."""
    if viewer.user_id is None and viewer.role is not Role.ADMIN:
        return None
    reports: Any = {"$ifNull": ["$reports", []]}
    if viewer.role is not Role.ADMIN:
        own = {"$eq": ["$$report.ownerRef", viewer.user_id]}
        reports = {"$filter": {"input": reports, "as": "report", "cond": own}}
    at = {"$max": {"$map": {"input": reports, "as": "report", "in": "$$report.at"}}}
    stages: list[Row] = [
        {"$match": all_of([match, {"created_at": None}])},
        {"$set": {REPORTED_AT: at}},
        {"$unset": list(HIDDEN)},
        {"$sort": {REPORTED_AT: -1, "_id": -1}},
        {"$limit": 1},
    ]
    rows = await (await collection_of(documents.ExternalData).aggregate(stages)).to_list()
    return rows[0] if rows else None
