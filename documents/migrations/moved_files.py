"""Moving a row of `seen_files`, whose id is made of its URL, to another URL."""

import hashlib
from collections.abc import Sequence
from typing import Any

from pymongo import DeleteOne, UpdateOne

from documents.migrations.step import Write


def moved_file(row: dict[str, Any], url: str, **more: Any) -> Sequence[Write]:
    """The writes that move a row, with more fields. When two rows become one, the one seen last is kept."""
    if url == row["url"]:
        return []
    id = f"file_{hashlib.sha256(url.encode()).hexdigest()}"
    moved = {"$literal": row | {"_id": id, "url": url} | more}
    latest = {"$cond": [{"$gt": ["$seen_at", row["seen_at"]]}, "$$ROOT", moved]}
    return [DeleteOne({"_id": row["_id"]}), UpdateOne({"_id": id}, [{"$replaceWith": latest}], upsert=True)]
