"""Rows as a walk brings them: with the requested fields alone."""

from collections.abc import Sequence

import documents
from resolvers.reads.rows import Fields, Row, collection_of, find_rows


async def rows_of(kept: Sequence[documents.Document], fields: Fields) -> list[Row]:
    """The stored rows of documents of one kind, in their order."""
    match = {"_id": {"$in": [one.id for one in kept]}}
    found = {row["_id"]: row for row in await find_rows(collection_of(type(kept[0])), match, fields)}
    return [found[one.id] for one in kept]
