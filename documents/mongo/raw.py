"""Documents as the raw BSON that the database sent, for code that only copies them into an answer.

Reading and writing them is compiled (`_row.pyx`, `_writer.pyx`), which needs a C compiler when the project is
installed, and private names of the driver. Where either is missing, `COMPILED` is false and documents are read as
dictionaries: the answers are the same, and large ones take about twice as long.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import Any

import bson
from pymongo.asynchronous.collection import AsyncCollection

from documents.private_apis import RAW_BSON

try:
    from documents.mongo._row import Row
    from documents.mongo._row import group_consecutive as _group_consecutive
    from documents.mongo._row import member_texts as _member_texts
    from documents.mongo._writer import Member, Writer
except ImportError:
    COMPILED = False
else:
    COMPILED = RAW_BSON.problem is None

__all__ = ["COMPILED", "Member", "Row", "Writer", "as_raw_bson", "decode_rows", "group_consecutive", "member_texts"]


def as_raw_bson(collection: AsyncCollection[dict[str, Any]]) -> AsyncCollection[Any]:
    """The collection with raw documents, each a Row."""
    return collection.with_options(codec_options=collection.codec_options.with_options(document_class=Row))


def decode_rows(rows: list[Row]) -> list[dict[str, Any]]:
    """The raw documents decoded into dictionaries."""
    return [bson.decode(row.raw) for row in rows]


def group_consecutive(rows: list[Any], key: str) -> list[tuple[str, list[Any]]]:
    """Groups of consecutive documents with the same text at `key`, as `(text, documents)`."""
    if COMPILED and rows and type(rows[0]) is Row:
        return _group_consecutive(rows, key)
    return [(text, list(group)) for text, group in groupby(rows, itemgetter(key))]


def member_texts(
    rows: list[Any], name: str, member: str, flag: str | None = None, known: dict[str, str] | None = None
) -> list[list[str]]:
    """For each document the texts at `member` of the documents in its list `name`, which may be missing or null.

    With a `flag`, only of those in which it is true. With `known`, the values that it has for such texts.
    """
    if COMPILED and all(type(row) is Row for row in rows):
        return _member_texts(rows, name, member, flag, known)
    lists = [row.get(name) or () for row in rows]
    texts = [[item[member] for item in items if flag is None or item.get(flag)] for items in lists]
    return texts if known is None else [[known[text] for text in of_row if text in known] for of_row in texts]
