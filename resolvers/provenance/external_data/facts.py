"""Size, media type and time of data elsewhere, as a viewer is shown them: they belong to those who reported them.

Public reports are shown to everybody. Where there is none, viewers are shown their own report, or that of the owner of
the first step that used the data and that they may see.
"""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import documents
from resolvers.access.viewer import Role, Viewer
from resolvers.filters import Filter
from resolvers.reads.batch_point_reads import coalesce
from resolvers.reads.rows import BATCH_SIZE, Row, collection_of, lookup_stage
from resolvers.reads.semi_join import policy_filter

UNKNOWN_TIME = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for the time of data that nobody reported, as only a damaged database has it."""


async def sizes(rows: list[Row], viewer: Viewer) -> list[int | None]:
    """The size in bytes of each."""
    return await _facts(rows, viewer, "size_bytes", "size_bytes")


async def media_types(rows: list[Row], viewer: Viewer) -> list[str | None]:
    """The media type of each."""
    return await _facts(rows, viewer, "media_type", "media_type")


async def times(rows: list[Row], viewer: Viewer) -> list[datetime]:
    """When each was first reported."""
    return [at or UNKNOWN_TIME for at in await _facts(rows, viewer, "created_at", "at")]


async def _facts(rows: list[Row], viewer: Viewer, name: str, reported: str) -> list[Any]:
    """The public value of each row at `name`, or the one that a report which the viewer may see has as `reported`."""
    # The viewer's own report may have a value that public data lacks. Anonymous viewers have no report.
    lacking = [
        row["_id"]
        for row in rows
        if row.get(name) is None and not (row.get("public") and viewer.role is Role.ANONYMOUS)
    ]
    reports = await _reports(lacking, viewer)
    return [reports.get(row["_id"], {}).get(reported) if row.get(name) is None else row[name] for row in rows]


async def _reports(ids: list[str], viewer: Viewer) -> dict[str, Row]:
    """The report of each that the viewer is shown; of a step whose owner left none, when the step was made."""
    if not ids:
        return {}
    policy = await policy_filter(documents.Step, viewer)
    # The fields of one level are read at the same time, and by one find.
    key = (documents.ExternalData, viewer.user_id, repr(policy))
    found = await coalesce(key, "_id", list(dict.fromkeys(ids)), partial(_find_reports, viewer, policy))
    return {id: _shown_report(row, viewer) for id, row in found.items()}


async def _find_reports(viewer: Viewer, policy: Filter, ids: list[str]) -> list[Row]:
    """The reports of the viewer, and of the owner of the first step that the viewer may see, with that step."""
    of_step: Row = {"$project": {"ownerRef": 1, "created_at": 1}}
    first_step: list[Row] = [{"$match": policy}, {"$sort": {"_id": 1}}, {"$limit": 1}, of_step]
    owners = [{"$literal": viewer.user_id}, {"$first": "$steps.ownerRef"}]
    reports = {"input": {"$ifNull": ["$reports", []]}, "as": "report", "cond": {"$in": ["$$report.ownerRef", owners]}}
    stages: list[Row] = [
        {"$match": {"_id": {"$in": ids}}},
        lookup_stage(documents.Step, "_id", "used.ref", "steps", first_step),
        {"$project": {"steps": 1, "reports": {"$filter": reports}}},
    ]
    return await (await collection_of(documents.ExternalData).aggregate(stages, batchSize=BATCH_SIZE)).to_list()


def _shown_report(row: Row, viewer: Viewer) -> Row:
    reports: dict[str | None, Row] = {report["ownerRef"]: report for report in row["reports"]}
    if viewer.user_id in reports or not row["steps"]:
        return reports.get(viewer.user_id, {})
    (step,) = row["steps"]
    return reports.get(step["ownerRef"], {"at": step["created_at"]})
