"""Documents as the database sent them, for what only writes them into an answer.

Reading and writing them is compiled (`_row.pyx`, `_writer.pyx`), which takes a C compiler when the project is
installed. Where there was none, `COMPILED` is false and documents are read as dictionaries: the answers are the same,
and large ones take about twice as long.
"""

from __future__ import annotations

from typing import Any

import bson
from pymongo.asynchronous.collection import AsyncCollection

try:
    from documents._row import Row
    from documents._writer import Member, Writer
except ImportError:
    COMPILED = False
else:
    COMPILED = True

__all__ = ["COMPILED", "Member", "Row", "Writer", "as_sent", "dictionaries"]


def as_sent(collection: AsyncCollection[dict[str, Any]]) -> AsyncCollection[Any]:
    """The collection with documents as they come, each a Row."""
    return collection.with_options(codec_options=collection.codec_options.with_options(document_class=Row))


def dictionaries(rows: list[Row]) -> list[dict[str, Any]]:
    """The same documents as they would have come otherwise."""
    return [bson.decode(row.raw) for row in rows]
