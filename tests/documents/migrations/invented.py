"""Steps that no release has, to see how steps are run, and what a process does that is killed while it runs them."""

import asyncio
from multiprocessing.connection import Connection
from typing import Any

from documents.migrations import STEPS as RELEASED
from documents.migrations import Step, Work, migrate
from documents.migrations import step as steps
from documents.mongo.database import Database, make_client

USERS = 25
UNNAMED = {"named": {"$exists": False}}
UNCOUNTED = {"counted": {"$ne": True}}


async def fill(database: Database) -> None:
    """Store users as version 1 has them."""
    await database.users.insert_many(
        {"_id": f"user_{number:03}", "displayName": str(number)} for number in range(USERS)
    )


def expected() -> list[dict[str, Any]]:
    """The users of version 3: each named and counted once."""
    return [
        {"_id": f"user_{number:03}", "displayName": str(number), "named": str(number), "count": 1, "counted": True}
        for number in range(USERS)
    ]


async def _unnamed(database: Database) -> int:
    return await database.users.count_documents(UNNAMED)


async def _name(work: Work) -> None:
    await work.update("users", UNNAMED, [{"$set": {"named": "$displayName"}}])


async def _uncounted(database: Database) -> int:
    return await database.users.count_documents(UNCOUNTED)


async def _count(work: Work) -> None:
    await work.update("users", UNCOUNTED, {"$inc": {"count": 1}, "$set": {"counted": True}})


STEPS = (
    Step(2, "Name each user.", _unnamed, _name),
    Step(3, "Count each user.", _uncounted, _count),
)


def migrate_until_killed(url: str, name: str, batches: int, released: bool, tells: "Connection[int, None]") -> None:
    """Migrate a database in small batches, tell how many are written, and wait to be killed after so many."""
    steps.BATCH_SIZE = 4 if released else 10
    written = 0

    def tell(does: str, done: int, total: int) -> None:
        nonlocal written
        written += done > 0
        tells.send(written)
        if written == batches:
            tells.recv()

    async def main() -> None:
        async with make_client(url) as client:
            await migrate(client[name], tell, RELEASED if released else STEPS)

    asyncio.run(main())
