"""The archives to export: those that can be ingested, of all instances or of some."""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import documents
from resolvers.galaxy.readable_archives import READABLE
from resolvers.reads.rows import Row, collection_of
from resolvers.user_errors import NotFound

BATCH_SIZE = 1000
"""Archives looked up at a time; hours may pass between two pages."""


@dataclass(frozen=True)
class Shard:
    """One of `count` shards of all archives, from 0: each archive is in exactly one, and stays there as others are
    added."""

    index: int = 0
    count: int = 1

    def has(self, archive_id: str) -> bool:
        """Whether an archive is in this shard."""
        number = int.from_bytes(hashlib.sha256(archive_id.encode()).digest()[:8], "big")
        return number % self.count == self.index


async def uuids_of(names: Sequence[str]) -> dict[str, str]:
    """UUIDs by id, of the instances named by id or UUID, or of all. Raises NotFound."""
    filter: dict[str, Any] = {"$or": [{"_id": {"$in": names}}, {"uuid": {"$in": names}}]} if names else {}
    uuids = {row["_id"]: row["uuid"] async for row in collection_of(documents.Instance).find(filter, {"uuid": 1})}
    for name in names:
        if name not in uuids and name not in uuids.values():
            raise NotFound("Instance", name)
    return uuids


async def count_archives(instances: Mapping[str, str]) -> int:
    """The number of archives of these instances."""
    return await collection_of(documents.Archive).count_documents(_archive_filter(instances))


async def archives(instances: Mapping[str, str], shard: Shard) -> AsyncIterator[Row]:
    """The archives of these instances in a shard, oldest first, each once, including those added meanwhile."""
    after = ""
    while True:
        # A query for each page: a cursor would time out while one archive is read.
        filter = {**_archive_filter(instances), "_id": {"$gt": after}}
        page = await collection_of(documents.Archive).find(filter, sort=[("_id", 1)], limit=BATCH_SIZE).to_list()
        for archive in page:
            if shard.has(archive["_id"]):
                yield archive
        if len(page) < BATCH_SIZE:
            return
        after = page[-1]["_id"]


def _archive_filter(instances: Mapping[str, str]) -> dict[str, Any]:
    return {**READABLE, "instanceRef": {"$in": sorted(instances)}}
