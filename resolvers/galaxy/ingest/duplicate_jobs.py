"""Jobs that occur in two archives of a generation: the later report knows the job's later state, so its row stays.

Which report is later does not depend on which was ingested first, so equal archives give equal contents. All of this
happens while a part holds the generation's merge lock, so the set of merged archives does not change meanwhile.
"""

from datetime import datetime
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import InsertOne, ReplaceOne
from pymongo.errors import BulkWriteError

import documents
from documents.activities.activity import ActivityStatus
from resolvers.filters import Filter
from resolvers.galaxy.ingest.part_lease import ClaimedPart
from resolvers.galaxy.ingest.spool import Spool
from resolvers.galaxy.readable_archives import reported_at
from resolvers.galaxy.report.job_bson import int32
from resolvers.reads.rows import Row, collection_of
from resolvers.writes.unique_index_errors import duplicate_key_errors

BATCH_SIZE = 500
COUNTED = ("tool_id", "tool_version", "state", "created_at", "runtime_seconds", "digest")
"""Fields of a job that usage and content hash count (documents.galaxy.job.ReplacedJob)."""
Rank = tuple[datetime, str]


def counted_fields(row: Row) -> Row:
    """The fields of a job that usage and content hash count."""
    return {name: row[name] for name in COUNTED}


class DuplicateJobs:
    """Decides between rows of one archive and rows of others for the same jobs; `losers` are the rows that lose."""

    def __init__(self, claim: ClaimedPart, archive: Row) -> None:
        self._claim = claim
        self._rank = _rank(archive)
        self._ranks: dict[str, Rank | None] = {}
        self._jobs = collection_of(documents.Job)
        self.losers = Spool()

    async def resolve(self, rows: list[bytes]) -> None:
        """Store the rows that win, and collect the others in `losers`."""
        waiting = {bson.decode(row)["_id"]: row for row in rows}
        while waiting:
            self._claim.check()
            stored = await self._stored_rows(list(waiting))
            await self._load_ranks({row["archiveRef"] for row in stored.values()})
            writes: list[Any] = []
            for id, row in list(waiting.items()):
                write = self._operation(row, stored.get(id))
                if write is None:
                    del waiting[id]
                else:
                    writes.append(write)
            # Rows with writes are checked once more: another worker may have been faster.
            if writes:
                await self._bulk_write(writes)

    def _operation(self, row: bytes, stored: Row | None) -> InsertOne[Any] | ReplaceOne[Any] | None:
        """The write for a row, None when it is stored already or loses."""
        if stored is None:
            return InsertOne(RawBSONDocument(row))
        if stored["archiveRef"] == self._claim.archive:
            return None
        rank = self._ranks[stored["archiveRef"]]
        seen = {"_id": stored["_id"], "archiveRef": stored["archiveRef"], "over": stored.get("over")}
        if rank is None:
            # That archive has not been merged yet; when it is, it will find this row in place of its own and settle the
            # conflict.
            return ReplaceOne(seen, RawBSONDocument(row))
        if rank < self._rank:
            return ReplaceOne(seen, RawBSONDocument(_with_replaced(row, counted_fields(stored))))
        self.losers.add(bson.encode(counted_fields(bson.decode(row))))
        return None

    async def _stored_rows(self, ids: list[str]) -> dict[str, Row]:
        projection = dict.fromkeys((*COUNTED, "archiveRef", "over"), 1)
        rows = self._jobs.find({"_id": {"$in": ids}}, projection, batch_size=len(ids) + 1)
        return {row["_id"]: row async for row in rows}

    async def _load_ranks(self, archives: set[str]) -> None:
        """Look up the ranks of archives, None for those that are not merged into the generation."""
        unknown = list(archives - self._ranks.keys())
        if not unknown:
            return
        match: Filter = {"generationRef": self._claim.generation, "archiveRef": {"$in": unknown}}
        match["status"] = ActivityStatus.SUCCEEDED.value
        merged = await collection_of(documents.IngestionPart).distinct("archiveRef", match)
        dates = {"generated_at": 1, "received_at": 1}
        rows = collection_of(documents.Archive).find({"_id": {"$in": merged}}, dates)
        self._ranks |= dict.fromkeys(unknown) | {row["_id"]: _rank(row) async for row in rows}

    async def _bulk_write(self, writes: list[Any]) -> None:
        try:
            await self._jobs.bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            duplicate_key_errors(error)


def _rank(archive: Row) -> Rank:
    return reported_at(archive), archive["_id"]


def _with_replaced(row: bytes, replaced: Row) -> bytes:
    """A row with the values it replaced as its last field."""
    content = row[4:-1] + b"\x03over\0" + bson.encode(replaced)
    return int32(len(content) + 5) + content + b"\0"
