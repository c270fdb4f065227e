"""The indexes that documents declare, compared with those that a database has."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pymongo import IndexModel
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, OperationFailure

import documents
from documents.migrations.schema_version import SchemaError

RETIRED: tuple[tuple[str, str], ...] = (
    # Since activities have an `availableAt`, claims no longer look for the oldest by this index.
    ("steps", "status_1_created_at_1__id_1"),
    ("ingestions", "status_1_created_at_1__id_1"),
    # Since component versions can be listed by commit, another index covers this one.
    ("versions", "commitHash_1"),
    # Since the activities that used an artifact are read in the order of their ids, another index covers this one.
    ("steps", "used.ref_1"),
)
"""Collection and name of indexes that an earlier release made and this one does not declare: they are dropped.

Other indexes belong to the operator of the database, and stay.
"""
COMPARED_OPTIONS = (
    "unique",
    "sparse",
    "partialFilterExpression",
    "expireAfterSeconds",
    "collation",
    "wildcardProjection",
)
"""Options in which two indexes of the same keys differ."""
GUARD_PREFIX = "guard_"
NO_COLLECTION, NO_INDEX = 26, 27

Database = AsyncDatabase[dict[str, Any]]
Row = dict[str, Any]


@dataclass(frozen=True)
class DeclaredIndex:
    """An index that a document declares."""

    collection: str
    model: IndexModel

    @property
    def name(self) -> str:
        """The index's name, unique within its collection."""
        return str(self.model.document["name"])

    @property
    def unique(self) -> bool:
        """Whether the index is unique."""
        return bool(self.model.document.get("unique"))

    def __str__(self) -> str:
        return f"{self.collection}.{self.name}"


@dataclass(frozen=True)
class IndexChanges:
    """Changes that bring a database's indexes in line with their declarations."""

    missing: list[DeclaredIndex] = field(default_factory=list)
    """Indexes to make. Unique ones come first."""
    changed: dict[DeclaredIndex, str] = field(default_factory=dict)
    """Indexes to rebuild, each with the name of the one that it replaces."""
    retired: list[tuple[str, str]] = field(default_factory=list)
    """Collection and name of indexes to drop."""

    @property
    def required(self) -> list[DeclaredIndex]:
        """The indexes without which a server must not work. Unique ones come first."""
        return sorted([*self.missing, *self.changed], key=lambda index: not index.unique)


def declared_indexes() -> list[DeclaredIndex]:
    """Every index that a document declares."""
    return [
        DeclaredIndex(document.collection_name(), model)
        for document in documents.ALL
        for model in getattr(document.Settings, "indexes", ())
    ]


async def find_changes(database: Database) -> IndexChanges:
    """The changes that bring a database's indexes in line with the documents' declarations."""
    indexes = declared_indexes()
    collections = sorted({index.collection for index in indexes} | {collection for collection, _ in RETIRED})
    rows = await asyncio.gather(*(_indexes_of(database, collection) for collection in collections))
    present = dict(zip(collections, rows, strict=True))
    retired = [(collection, name) for collection, name in RETIRED if name in present[collection]]
    changes = IndexChanges(retired=retired)
    for index in indexes:
        _compare(index, present[index.collection], changes)
    changes.missing.sort(key=lambda index: not index.unique)
    return changes


async def make_index(database: Database, index: DeclaredIndex) -> None:
    """Make an index. Raises SchemaError where existing rows violate it."""
    try:
        await database[index.collection].create_indexes([index.model])
    except DuplicateKeyError as error:
        key = (error.details or {}).get("keyValue", {})
        equal = ", ".join(f"{name} {value!r}"[:200] for name, value in key.items())
        raise SchemaError(
            f"The unique index {index} cannot be made: several documents of {index.collection} have the {equal}. "
            "Change or delete all but one of them, and run `provenance-graph migrate` again."
        ) from None


async def rebuild_index(database: Database, index: DeclaredIndex, replaced: str) -> None:
    """Replace an index by one with other keys or options. Uniqueness is enforced throughout."""
    guard = DeclaredIndex(index.collection, _guard_of(index)) if index.unique else None
    if guard:
        await make_index(database, guard)
    await drop_index(database, index.collection, replaced)
    await make_index(database, index)
    if guard:
        await drop_index(database, index.collection, guard.name)


async def drop_index(database: Database, collection: str, name: str) -> None:
    """Drop an index, if there is one of this name."""
    try:
        await database[collection].drop_index(name)
    except OperationFailure as error:
        if error.code not in (NO_COLLECTION, NO_INDEX):
            raise


def _compare(index: DeclaredIndex, present: dict[str, Row], changes: IndexChanges) -> None:
    """Record in `changes` how an index has to change."""
    signature = _signature(index.model.document)
    same_name = present.get(index.name)
    if same_name is not None and _signature(same_name) == signature:
        # The guard was left behind by a rebuild that was killed at its very end.
        if GUARD_PREFIX + index.name in present:
            changes.retired.append((index.collection, GUARD_PREFIX + index.name))
        return
    # MongoDB refuses a second index with the same keys and options, whatever its name.
    twins = [name for name, row in present.items() if _signature(row) == signature]
    if same_name is not None:
        changes.changed[index] = index.name
    elif twins:
        changes.changed[index] = twins[0]
    elif GUARD_PREFIX + index.name in present:
        changes.changed[index] = index.name
    else:
        changes.missing.append(index)


def _guard_of(index: DeclaredIndex) -> IndexModel:
    """A temporary index that enforces the same uniqueness. Both may exist at once, as their filters differ."""
    document = dict(index.model.document)
    keys = list(document.pop("key").items())
    every_row: Row = {"_id": {"$exists": True}}
    filter = document.pop("partialFilterExpression", None)
    document["partialFilterExpression"] = {"$and": [filter, every_row]} if filter else every_row
    return IndexModel(keys, **(document | {"name": GUARD_PREFIX + index.name}))


def _signature(row: Any) -> Row:
    """Keys and options, by which MongoDB distinguishes the indexes of a collection."""
    return {"key": list(row["key"].items())} | {name: row[name] for name in COMPARED_OPTIONS if row.get(name)}


async def _indexes_of(database: Database, collection: str) -> dict[str, Row]:
    """The finished indexes of a collection by name; those still being built enforce nothing and are left out."""
    # Without the build info MongoDB lists an index that is being built like a finished one.
    command = {"listIndexes": collection, "includeIndexBuildInfo": True, "cursor": {"batchSize": 1000}}
    try:
        reply = await database.command(command)
    except OperationFailure as error:
        if error.code == NO_COLLECTION:
            return {}
        raise
    rows: Sequence[Row] = reply["cursor"]["firstBatch"]
    return {row["spec"]["name"]: row["spec"] for row in rows if "indexBuildInfo" not in row}
