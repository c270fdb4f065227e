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

BATCH = 1_000


@dataclass(frozen=True)
class Origin:
    """The source of rows: a database on some hosts. Two origins are equal if they share a host."""

    hosts: list[str]
    database: str

    @classmethod
    def of(cls, source: AsyncDatabase[dict[str, Any]]) -> "Origin":
        """The origin that an open database is."""
        servers = source.client.topology_description.server_descriptions()
        return cls(sorted(f"{host}:{port}" for host, port in servers), source.name)


@dataclass(frozen=True)
class Taken:
    """The fields of a row that became the document `target`, as they were read."""

    target: str
    collection: str
    fields: Row


async def taken_before(targets: Iterable[str]) -> dict[str, Row]:
    """The last imported state of the rows of these documents, by the documents' ids."""
    ids = [imported_row_id(target) for target in targets]
    cursor = collection_of(documents.ImportedRow).find({"_id": {"$in": ids}}, batch_size=BATCH)
    return {row["target"]: row async for row in cursor}


async def remember(origin: Origin, rows: list[Taken], session: Session | None = None) -> None:
    """Store the state of these rows, in place of that of the last import."""
    if rows:
        written = [_written(origin, row) for row in rows]
        await collection_of(documents.ImportedRow).bulk_write(written, ordered=False, session=session)


def is_remembered(origin: Origin, row: Taken, before: Row | None) -> bool:
    """Whether this state is stored already."""
    known = before and (before["taken"], before["sourceCollection"], before["sourceHosts"], before["sourceDatabase"])
    return known == (row.fields, row.collection, origin.hosts, origin.database)


async def gone(origin: Origin, source: AsyncDatabase[dict[str, Any]], collection: str) -> AsyncIterator[str]:
    """The ids of documents whose rows have been deleted from this collection of the source.

    Where the document was deleted here as well, its record is deleted.
    """
    match = {
        "sourceDatabase": origin.database,
        "sourceCollection": collection,
        "sourceHosts": {"$in": origin.hosts},
    }
    cursor = collection_of(documents.ImportedRow).find(match, ["target"], sort=[("_id", 1)], batch_size=BATCH)
    while targets := [row["target"] for row in await cursor.to_list(BATCH)]:
        missing = await _missing(source, collection, targets)
        here = await _here(missing)
        await _forget([target for target in missing if target not in here])
        for target in missing:
            if target in here:
                yield target


async def _missing(source: AsyncDatabase[dict[str, Any]], collection: str, targets: list[str]) -> list[str]:
    """The ids whose rows the source no longer has."""
    hexes = [target.partition("_")[2] for target in targets]
    cursor = source[collection].find({"_id": {"$in": both_forms(hexes)}}, ["_id"], batch_size=BATCH)
    there = {hex_of(row["_id"]) async for row in cursor}
    return [target for hex, target in zip(hexes, targets, strict=True) if hex not in there]


async def _here(targets: list[str]) -> set[str]:
    document = documents.by_kind(targets[0]) if targets else None
    if document is None:
        return set()
    return {row["_id"] async for row in collection_of(document).find({"_id": {"$in": targets}}, ["_id"])}


async def _forget(targets: list[str]) -> None:
    if targets:
        ids = [imported_row_id(target) for target in targets]
        await collection_of(documents.ImportedRow).delete_many({"_id": {"$in": ids}})


def _written(origin: Origin, row: Taken) -> UpdateOne:
    values = {
        "target": row.target,
        "sourceHosts": origin.hosts,
        "sourceDatabase": origin.database,
        "sourceCollection": row.collection,
        "taken": row.fields,
        "takenAt": now(),
    }
    return UpdateOne({"_id": imported_row_id(row.target)}, {"$set": values}, upsert=True)
