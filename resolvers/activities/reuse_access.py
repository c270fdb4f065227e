"""Temporary read access for the runners of a re-run to the steps it reuses and their outputs, revoked when the
execution ends.

Each grant is stored on the step and its outputs, with the execution that it is for, so that the end of one execution
revokes its own grants and no others.
"""

from typing import Any

import documents
from documents.mongo.transaction import Session
from resolvers.reads.rows import Row, collection_of


async def grant_reuse_access(execution_id: str, owner_id: str, key: str, session: Session) -> None:
    """Let this runner of an execution read the steps that it reuses, where they belong to the same owner."""
    grant = {"execution": execution_id, "key": key}
    await _write(execution_id, {"ownerRef": owner_id}, {"$addToSet": {"borrowers": grant}}, session)


async def revoke_reuse_access(execution_id: str, session: Session) -> None:
    """Revoke all grants for this execution."""
    granted = {"borrowers.execution": execution_id}
    await _write(execution_id, granted, {"$pull": {"borrowers": {"execution": execution_id}}}, session)


async def _write(execution_id: str, match: Row, change: dict[str, Any], session: Session) -> None:
    """Change the steps that an execution reuses, and their outputs."""
    steps, reuses = collection_of(documents.Step), {"executionRef": execution_id, "reusedFrom": {"$ne": None}}
    reused = await steps.distinct("reusedFrom", reuses, session=session)
    if reused:
        await steps.update_many({"_id": {"$in": reused}} | match, change, session=session)
        outputs = collection_of(documents.Output)
        await outputs.update_many({"stepRef": {"$in": reused}} | match, change, session=session)
