"""The floor under `deep`: the fewest projected finds, shaped by hand for this one query, in process and without HTTP.

What a plan does beyond it is what any server has to: requests, policies, limits, pages. Its bytes are the server's.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from documents.mongo.database import Database

Row = dict[str, Any]
Groups = defaultdict[str, list[Row]]


async def deep(database: Database) -> bytes:
    """The answer to the deep query."""
    users = await database.users.find({}, ["displayName", "github"], sort=[("_id", 1)], limit=101).to_list()
    twins, of_user = await _below(
        users, database, "digitalTwins", "userRef", ["name", "status", "public", "created_at"]
    )
    executions, of_twin = await _below(
        twins, database, "executions", "digitalTwinRef", ["title", "description", "tags", "start_timestamp"]
    )
    steps, of_execution = await _below(
        executions, database, "steps", "executionRef", ["key", "ordinal", "start_timestamp", "end_timestamp"], "ordinal"
    )
    _, of_step = await _below(
        steps, database, "outputs", "stepRef", ["file_name", "file_size", "file_type", "created_at"]
    )

    def shown_step(row: Row) -> Row:
        return {
            "id": row["_id"],
            "key": row["key"],
            "ordinal": row["ordinal"],
            "startedAt": _time(row["start_timestamp"]),
            "endedAt": _time(row["end_timestamp"]),
            "outputs": {"nodes": [_output(output) for output in of_step.get(row["_id"], ())]},
        }

    def shown_execution(row: Row) -> Row:
        return {
            "id": row["_id"],
            "title": row["title"],
            "description": row["description"],
            "tags": row["tags"],
            "startTimestamp": _time(row["start_timestamp"]),
            "steps": {"nodes": [shown_step(step) for step in of_execution.get(row["_id"], ())]},
        }

    def shown_twin(row: Row) -> Row:
        return {
            "id": row["_id"],
            "name": row["name"],
            "status": row["status"],
            "public": row["public"],
            "createdAt": _time(row["created_at"]),
            "executions": {"nodes": [shown_execution(execution) for execution in of_twin.get(row["_id"], ())]},
        }

    def shown_user(row: Row) -> Row:
        return {
            "id": row["_id"],
            "displayName": row["displayName"],
            "github": row["github"],
            "digitalTwins": {"nodes": [shown_twin(twin) for twin in of_user.get(row["_id"], ())]},
        }

    return orjson.dumps({"data": {"users": {"nodes": [shown_user(user) for user in users]}}})


async def _below(
    parents: Sequence[Row], database: Database, collection: str, reference: str, fields: list[str], order: str = "_id"
) -> tuple[list[Row], Groups]:
    """The children of all parents, and the same by parent."""
    rows = await (
        database[collection]
        .find(
            {reference: {"$in": [parent["_id"] for parent in parents]}},
            [reference, *fields],
            sort=[(reference, 1), (order, 1)],
            batch_size=1_000_000,
        )
        .to_list()
    )
    groups: Groups = defaultdict(list)
    for row in rows:
        groups[row[reference]].append(row)
    return rows, groups


def _output(row: Row) -> Row:
    return {
        "id": row["_id"],
        "fileName": row["file_name"],
        "fileSize": None if row["file_size"] is None else str(row["file_size"]),
        "fileType": row["file_type"],
        "createdAt": _time(row["created_at"]),
    }


def _time(value: datetime | None) -> str | None:
    return None if value is None else f"{value.isoformat(timespec='milliseconds')}Z"
