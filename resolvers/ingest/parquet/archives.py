"""Which archives there are to export: those that ingestions take, of all instances or of some."""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import documents
from resolvers.fetch import Row, collection_of
from resolvers.ingest.archives import READABLE
from resolvers.refusals import NotFound

PAGE = 1000
"""Archives that are looked up at a time; between two pages hours may pass."""


@dataclass(frozen=True)
class Shard:
    """One of `count` parts, from 0, of all archives: each is in exactly one, and stays there whatever else comes."""

    index: int = 0
    count: int = 1

    def has(self, archive_id: str) -> bool:
        """Whether an archive is in this part."""
        drawn = int.from_bytes(hashlib.sha256(archive_id.encode()).digest()[:8], "big")
        return drawn % self.count == self.index


async def uuids_of(wanted: Sequence[str]) -> dict[str, str]:
    """UUIDs by id, of the instances that are named by either, or of all. Raises NotFound."""
    filter: dict[str, Any] = {"$or": [{"_id": {"$in": wanted}}, {"uuid": {"$in": wanted}}]} if wanted else {}
    found = {row["_id"]: row["uuid"] async for row in collection_of(documents.Instance).find(filter, {"uuid": 1})}
    for name in wanted:
        if name not in found and name not in found.values():
            raise NotFound("Instance", name)
    return found


async def count(instances: Mapping[str, str]) -> int:
    """How many archives of these instances there are."""
    return await collection_of(documents.Archive).count_documents(_of(instances))


async def archives(instances: Mapping[str, str], shard: Shard) -> AsyncIterator[Row]:
    """The archives of these instances that are in a shard, oldest first, each once, also those that come meanwhile."""
    after = ""
    while True:
        # Each page by itself: a cursor would be closed for want of use while one archive is read.
        filter = {**_of(instances), "_id": {"$gt": after}}
        page = await collection_of(documents.Archive).find(filter, sort=[("_id", 1)], limit=PAGE).to_list()
        for archive in page:
            if shard.has(archive["_id"]):
                yield archive
        if len(page) < PAGE:
            return
        after = page[-1]["_id"]


def _of(instances: Mapping[str, str]) -> dict[str, Any]:
    return {**READABLE, "instanceRef": {"$in": sorted(instances)}}
