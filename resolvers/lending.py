"""What a re-run reuses, lent to those who run it: they read the earlier steps and their outputs until it ends.

Each loan stands on the step and its outputs, with the execution that it is for, so that the end of one takes back what
was lent for it and nothing else.
"""

from typing import Any

import documents
from resolvers.fetch import Row, collection_of
from resolvers.writing import Session


async def lend(execution_id: str, owner_id: str, key: str, session: Session) -> None:
    """Let this runner of an execution read what its steps reuse, as far as it belongs to the same owner."""
    loan = {"execution": execution_id, "key": key}
    await _write(execution_id, {"ownerRef": owner_id}, {"$addToSet": {"borrowers": loan}}, session)


async def take_back(execution_id: str, session: Session) -> None:
    """End all loans for this execution."""
    lent = {"borrowers.execution": execution_id}
    await _write(execution_id, lent, {"$pull": {"borrowers": {"execution": execution_id}}}, session)


async def _write(execution_id: str, match: Row, change: dict[str, Any], session: Session) -> None:
    """Change the steps that those of an execution reuse, and their outputs."""
    steps, reuses = collection_of(documents.Step), {"executionRef": execution_id, "reusedFrom": {"$ne": None}}
    reused = await steps.distinct("reusedFrom", reuses, session=session)
    if reused:
        await steps.update_many({"_id": {"$in": reused}} | match, change, session=session)
        outputs = collection_of(documents.Output)
        await outputs.update_many({"stepRef": {"$in": reused}} | match, change, session=session)
