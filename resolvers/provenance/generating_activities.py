"""Activities that generated artifacts: steps, transforms, and the last ingestions of generations."""

import documents
from documents.base import kind_of
from resolvers.filters import Filter
from resolvers.provenance.used_artifacts import MERGED
from resolvers.reads.rows import BATCH_SIZE, Row, collection_of

IN_GENERATION: Filter = MERGED | {"generationRef": {"$type": "string"}, "holds": True}
"""Parts whose archives were merged into a generation: the condition of the index by generation, and their status."""


async def generating_activity_ids(artifacts: list[Row]) -> list[str | None]:
    """The id of the activity that generated each artifact, None where it came from outside or nobody said.

    Of a generation it is the ingestion that merged an archive into it last. One round trip where there are any.
    """
    generations = [row["_id"] for row in artifacts if kind_of(row["_id"]) == documents.Generation.kind]
    last = await _last_ingestions(generations) if generations else {}
    return [row.get("transform_id") or row.get("stepRef") or last.get(row["_id"]) for row in artifacts]


async def _last_ingestions(generations: list[str]) -> dict[str, str]:
    merged = {"$and": [{"generationRef": {"$in": generations}}, IN_GENERATION]}
    last = {"$max": {"at": "$end_timestamp", "by": "$ingestionRef"}}
    stages: list[Row] = [{"$match": merged}, {"$group": {"_id": "$generationRef", "last": last}}]
    cursor = await collection_of(documents.IngestionPart).aggregate(stages, batchSize=BATCH_SIZE)
    return {row["_id"]: row["last"]["by"] async for row in cursor}
