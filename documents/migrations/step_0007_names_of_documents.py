"""Step 7: documents say which dataset and version they are of, so that they can be named without reading either.

Version 6 named neither. The dataset's name at that time is not stored anywhere, so its present one is taken. Servers of
that version that still run go on as before: documents that they publish while this runs, or later, have no name, and
are called by their ids.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from documents.migrations.step import Database, Step, Work, Write

UNNAMED = {"versionLabel": {"$exists": False}}
BATCH_SIZE = 50
"""Documents of a transaction: each may have a megabyte."""


async def _name(work: Work, row: dict[str, Any], session: AsyncClientSession) -> Sequence[Write]:
    database = work.database
    dataset = await database["datasets"].find_one({"_id": row["parent_dataset"]}, session=session) or {}
    version = await database["dataset_versions"].find_one({"_id": row["versionRef"]}, session=session) or {}
    name = dataset.get("title") or dataset.get("identifier")
    return [UpdateOne({"_id": row["_id"]}, {"$set": {"datasetName": name, "versionLabel": version.get("label")}})]


async def _count(database: Database) -> int:
    return await database["distributions"].count_documents(UNNAMED)


async def _run(work: Work) -> None:
    await work.rewrite("distributions", UNNAMED, partial(_name, work), batch_size=BATCH_SIZE)


STEP = Step(7, "Name the dataset and version of each document.", _count, _run)
