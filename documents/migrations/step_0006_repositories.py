"""Step 6: the code of steps and transforms names its repository in normal form.

Version 5 stored repositories as they were given, so that code of `git@host:a/b` was not found as that of
`https://host/a/b`. Servers of that version that still run go on as before: code that they record while this runs, or
later, keeps the spelling that was given.
"""

from collections.abc import Sequence
from typing import Any

from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from documents.activities.repository_url import repository_url
from documents.migrations.step import Database, Step, Work, Write

COLLECTIONS = ("steps", "transforms")
SURELY_NORMAL = r"^(https://[a-z0-9.-]+(/[^/?#\s]+)+(?<!\.git))?$"
"""Most repositories in normal form; all others are then checked exactly."""
CANDIDATES = {"code": {"$elemMatch": {"repository": {"$not": {"$regex": SURELY_NORMAL}}}}}


async def _change(row: dict[str, Any], session: AsyncClientSession) -> Sequence[Write]:
    code = [reference | {"repository": repository_url(reference["repository"])} for reference in row["code"]]
    return [UpdateOne({"_id": row["_id"]}, {"$set": {"code": code}})] if code != row["code"] else []


async def _count(database: Database) -> int:
    return sum([await database[collection].count_documents(CANDIDATES) for collection in COLLECTIONS])


async def _run(work: Work) -> None:
    for collection in COLLECTIONS:
        await work.rewrite(collection, CANDIDATES, _change)


STEP = Step(6, "Spell the repositories of code in one way.", _count, _run)
