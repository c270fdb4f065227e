"""Step 5: steps that were claimed before say which outputs of other steps they could take.

Version 4 froze none, so it stored with a step only the files that a worker was to fetch. Outputs are only registered
while their step runs, so what such a step could take is what it would be given now.

Servers of that version that still run go on as before: steps that they claim while this runs, or later, may keep what
they had. Imported steps, which nobody claimed here, stay as they are.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from documents.migrations.step import Database, Step, Work, Write
from documents.provenance.frozen_inputs import frozen_inputs

CLAIMED = {
    "claimed_by": {"$ne": None},
    "dependsOn.0": {"$exists": True},
    "used_truncated": {"$exists": False},
}
BATCH_SIZE = 50
"""Steps of a transaction: each may use 10,000 outputs, and a transaction has a minute."""


async def _freeze(work: Work, row: dict[str, Any], session: AsyncClientSession) -> Sequence[Write]:
    fields = await frozen_inputs(work.database["steps"], row["_id"], session)
    return [UpdateOne({"_id": row["_id"]}, {"$set": fields})]


async def _count(database: Database) -> int:
    return await database["steps"].count_documents(CLAIMED)


async def _run(work: Work) -> None:
    await work.rewrite("steps", CLAIMED, partial(_freeze, work), batch_size=BATCH_SIZE)


STEP = Step(5, "Record which outputs each claimed step could take.", _count, _run)
