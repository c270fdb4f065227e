"""Moving a row of `seen_files`, whose id is made of its URL, to another URL."""

import hashlib
from collections.abc import Sequence
from typing import Any

from pymongo import DeleteOne, UpdateOne

from documents.migrations.step import Write


def writes_that_move(row: dict[str, Any], url: str, **more: Any) -> Sequence[Write]:
    """The writes that move a row to another URL and add fields to it. When two rows become one, the newer one stays."""
    if url == row["url"]:
        return []
    id = f"file_{hashlib.sha256(url.encode()).hexdigest()}"
    moved = {"$literal": row | {"_id": id, "url": url} | more}
    latest = {"$cond": [{"$gt": ["$seen_at", row["seen_at"]]}, "$$ROOT", moved]}
    return [DeleteOne({"_id": row["_id"]}), UpdateOne({"_id": id}, [{"$replaceWith": latest}], upsert=True)]
