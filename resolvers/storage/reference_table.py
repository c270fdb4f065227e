"""A table of references in a temporary file, by which the list of a bucket is compared with millions of documents."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, Self

from resolvers.storage.object_references import PAGE_SIZE, Reference

CACHE_KIBIBYTES = 32_768
COLUMNS = "key, document, bucket, generation, size, sha256, required"


class ReferenceTable:
    """References by key. Those of an object are seen once the bucket's list has shown the object."""

    def __init__(self, file: Path) -> None:
        # Pages are written in threads, one after the other.
        self._database = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIBIBYTES}"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute(
            "CREATE TABLE refs (key TEXT, document TEXT, bucket TEXT, generation INTEGER, size INTEGER, sha256 TEXT, "
            "required INTEGER, seen INTEGER DEFAULT 0, PRIMARY KEY (key, document)) WITHOUT ROWID"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._database.close()

    def insert(self, references: list[Reference]) -> None:
        """Insert references."""
        self._database.execute("BEGIN")
        self._database.executemany(
            f"INSERT OR REPLACE INTO refs ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
            [astuple(reference) for reference in references],
        )
        self._database.execute("COMMIT")

    def mark_seen(self, keys: Sequence[str]) -> dict[str, list[Reference]]:
        """Mark the references of these objects as seen, and return them by key."""
        marks = ",".join("?" * len(keys))
        self._database.execute(f"UPDATE refs SET seen = 1 WHERE key IN ({marks})", keys)
        references: dict[str, list[Reference]] = {}
        for row in self._database.execute(f"SELECT {COLUMNS} FROM refs WHERE key IN ({marks})", keys):
            references.setdefault(row[0], []).append(_reference(row))
        return references

    def unseen(self) -> Iterator[list[Reference]]:
        """The references of objects that were not seen, in pages by key."""
        page = f"SELECT {COLUMNS} FROM refs WHERE NOT seen AND (key, document) > (?, ?) ORDER BY key, document LIMIT ?"
        after = ("", "")
        while rows := self._database.execute(page, (*after, PAGE_SIZE)).fetchall():
            yield [_reference(row) for row in rows]
            after = rows[-1][:2]


def _reference(row: Sequence[Any]) -> Reference:
    key, document, bucket, generation, size, sha256, required = row
    return Reference(key, document, bucket, generation, size, sha256, bool(required))
