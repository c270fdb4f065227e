"""Step 2: activities record when they may be claimed, who held them before, and how many log lines came late.

Version 1 kept neither the names of earlier workers nor how often each token held an activity. More attempts than tokens
show that one token held it more than once; names are recorded from the next claim on.
"""

from typing import Any

from documents.migrations.step import Database, Step, Work

COLLECTIONS = ("ingestions", "steps", "transforms")
UNFILLED = {"availableAt": {"$exists": False}}
CLAIMANTS = {"$ifNull": ["$claimants", []]}
CLAIMED_AGAIN = {"$and": [{"$in": ["$claimed_by", CLAIMANTS]}, {"$gt": ["$attempt", {"$size": CLAIMANTS}]}]}
FILL: list[dict[str, Any]] = [
    {
        "$set": {
            "availableAt": None,
            "left_by": {"$ifNull": ["$left_by", []]},
            "earlier_workers": {"$ifNull": ["$earlier_workers", []]},
            "claimed_again": {"$ifNull": ["$claimed_again", CLAIMED_AGAIN]},
            "log_late": {"$ifNull": ["$log_late", 0]},
        }
    }
]


async def _count(database: Database) -> int:
    return sum([await database[collection].count_documents(UNFILLED) for collection in COLLECTIONS])


async def _run(work: Work) -> None:
    for collection in COLLECTIONS:
        await work.update(collection, UNFILLED, FILL)


STEP = Step(2, "Mark each activity as claimable at once, and record whether it was claimed again.", _count, _run)
