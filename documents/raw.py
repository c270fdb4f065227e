"""Documents as the database sent them, for what only writes them into an answer.

Reading and writing them is compiled (`_row.pyx`, `_writer.pyx`), which takes a C compiler when the project is
installed. Where there was none, `COMPILED` is false and documents are read as dictionaries: the answers are the same,
and large ones take about twice as long.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import Any

import bson
from pymongo.asynchronous.collection import AsyncCollection

try:
    from documents._row import Row
    from documents._row import families as _families
    from documents._writer import Member, Writer
except ImportError:
    COMPILED = False
else:
    COMPILED = True

__all__ = ["COMPILED", "Member", "Row", "Writer", "as_sent", "dictionaries", "families"]


def as_sent(collection: AsyncCollection[dict[str, Any]]) -> AsyncCollection[Any]:
    """The collection with documents as they come, each a Row."""
    return collection.with_options(codec_options=collection.codec_options.with_options(document_class=Row))


def dictionaries(rows: list[Row]) -> list[dict[str, Any]]:
    """The same documents as they would have come otherwise."""
    return [bson.decode(row.raw) for row in rows]


def families(rows: list[Any], key: str) -> list[tuple[str, list[Any]]]:
    """Neighbouring documents with the same text at `key` together, as `(text, documents)`."""
    if COMPILED and rows and type(rows[0]) is Row:
        return _families(rows, key)
    return [(text, list(family)) for text, family in groupby(rows, itemgetter(key))]
