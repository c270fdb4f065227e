"""Rows of an ODTP database as of the last import, and rows that have been deleted there since."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

from pymongo import UpdateOne
from pymongo.asynchronous.database import AsyncDatabase

import documents
from documents.base import now
from documents.imports.imported_row import imported_row_id
from documents.mongo.transaction import Session
from resolvers.imports.odtp.bson_values import both_forms, hex_of
from resolvers.reads.rows import Row, collection_of

BATCH_SIZE = 1_000


@dataclass(frozen=True)
class Origin:
    """The source of rows: a database on some hosts. Databases of one name with a common host are the same origin."""

    hosts: list[str]
    database: str

    @classmethod
    def of(cls, source: AsyncDatabase[dict[str, Any]]) -> "Origin":
        """The origin of an open database."""
        servers = source.client.topology_description.server_descriptions()
        return cls(sorted(f"{host}:{port}" for host, port in servers), source.name)


@dataclass(frozen=True)
class ImportedState:
    """The fields of an imported row as they were read. `target` is the id of its document."""

    target: str
    collection: str
    fields: Row


async def imported_states(targets: Iterable[str]) -> dict[str, Row]:
    """The state of these documents' rows at the last import, by the documents' ids."""
    ids = [imported_row_id(target) for target in targets]
    cursor = collection_of(documents.ImportedRow).find({"_id": {"$in": ids}}, batch_size=BATCH_SIZE)
    return {row["target"]: row async for row in cursor}


async def store_states(origin: Origin, rows: list[ImportedState], session: Session | None = None) -> None:
    """Store the states of rows, in place of those of the last import."""
    if rows:
        upserts = [_upsert(origin, row) for row in rows]
        await collection_of(documents.ImportedRow).bulk_write(upserts, ordered=False, session=session)


def is_stored(origin: Origin, row: ImportedState, before: Row | None) -> bool:
    """Whether the state of the last import is this one."""
    stored = before and (before["taken"], before["sourceCollection"], before["sourceHosts"], before["sourceDatabase"])
    return stored == (row.fields, row.collection, origin.hosts, origin.database)


async def deleted_targets(origin: Origin, source: AsyncDatabase[dict[str, Any]], collection: str) -> AsyncIterator[str]:
    """The ids of documents whose rows have been deleted from this collection of the source.

    If the document has been deleted here as well, its record is deleted instead.
    """
    match = {
        "sourceDatabase": origin.database,
        "sourceCollection": collection,
        "sourceHosts": {"$in": origin.hosts},
    }
    cursor = collection_of(documents.ImportedRow).find(match, ["target"], sort=[("_id", 1)], batch_size=BATCH_SIZE)
    while targets := [row["target"] for row in await cursor.to_list(BATCH_SIZE)]:
        missing = await _missing_targets(source, collection, targets)
        existing = await _existing_targets(missing)
        await _delete_records([target for target in missing if target not in existing])
        for target in missing:
            if target in existing:
                yield target


async def _missing_targets(source: AsyncDatabase[dict[str, Any]], collection: str, targets: list[str]) -> list[str]:
    """The ids of documents whose rows have been deleted in the source."""
    hexes = [target.partition("_")[2] for target in targets]
    cursor = source[collection].find({"_id": {"$in": both_forms(hexes)}}, ["_id"], batch_size=BATCH_SIZE)
    present = {hex_of(row["_id"]) async for row in cursor}
    return [target for hex, target in zip(hexes, targets, strict=True) if hex not in present]


async def _existing_targets(targets: list[str]) -> set[str]:
    document = documents.by_kind(targets[0]) if targets else None
    if document is None:
        return set()
    return {row["_id"] async for row in collection_of(document).find({"_id": {"$in": targets}}, ["_id"])}


async def _delete_records(targets: list[str]) -> None:
    if targets:
        ids = [imported_row_id(target) for target in targets]
        await collection_of(documents.ImportedRow).delete_many({"_id": {"$in": ids}})


def _upsert(origin: Origin, row: ImportedState) -> UpdateOne:
    values = {
        "target": row.target,
        "sourceHosts": origin.hosts,
        "sourceDatabase": origin.database,
        "sourceCollection": row.collection,
        "taken": row.fields,
        "takenAt": now(),
    }
    return UpdateOne({"_id": imported_row_id(row.target)}, {"$set": values}, upsert=True)
