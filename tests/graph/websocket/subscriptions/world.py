"""An execution to follow, and what a worker in another process does to it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pymongo import UpdateOne

import documents
from documents.activities.activity import ActivityStatus
from documents.base import now
from documents.mongo.transaction import in_transaction
from tests.support.builders import a_log_entry, a_step, a_twin, a_user, an_execution, keep


@dataclass
class World:
    """An execution of two steps."""

    owner: documents.User
    twin: documents.DigitalTwin
    execution: documents.Execution
    steps: list[documents.Step]

    async def set_step(self, number: int, status: ActivityStatus, **fields: Any) -> None:
        """Let a step be in a state."""
        await _set(self.steps[number], {"status": status, **fields})

    async def set_in_turn(self, changes: Iterable[tuple[documents.Document, dict[str, Any]]]) -> None:
        """Store changes of documents of one kind one after the other, by one command, which takes no time."""
        made = [(document, UpdateOne({"_id": document.id}, {"$set": fields})) for document, fields in changes]
        await made[0][0].get_pymongo_collection().bulk_write([update for _, update in made])

    async def set_execution(self, **fields: Any) -> None:
        """Let the execution hold these values."""
        await _set(self.execution, fields)

    async def set_public(self, public: bool) -> None:
        """Publish or hide the twin, as updateDigitalTwin does."""
        for document in (self.twin, self.execution, *self.steps):
            await _set(document, {"public": public})

    async def write(self, first: int, last: int, **fields: Any) -> None:
        """Store lines of the first step by their sequences, all at once, as appendLogs does."""
        steps = documents.Step.get_pymongo_collection()
        step = await steps.find_one({"_id": self.steps[0].id})
        assert step is not None
        late = max(0, min(last, step["log_end"]) - first + 1)
        lines = [a_log_entry(self.steps[0], number, **fields) for number in range(first, last + 1)]
        for place, line in enumerate(lines[:late], 1):
            line.late = step["log_late"] + place

        async def work(session: Any) -> None:
            await documents.LogEntry.insert_many(lines, session=session)
            change = {"$max": {"log_end": last}, "$inc": {"reports": 1, "log_late": late}}
            await steps.update_one({"_id": step["_id"]}, change, session=session)

        await in_transaction(work)


async def a_world(**fields: Any) -> World:
    """A public twin with an execution of two steps, all kept."""
    owner = a_user()
    twin = a_twin(owner, **{"public": True, **fields})
    execution = an_execution(twin)
    steps = [a_step(execution, ordinal=number, attempt=1) for number in range(2)]
    await keep(owner, twin, execution, *steps)
    return World(owner, twin, execution, steps)


async def expire(token: str) -> None:
    """Let a token's time be over."""
    expired = {"$set": {"expires_at": now() - timedelta(seconds=1)}}
    await documents.Token.get_pymongo_collection().update_one({"_id": token}, expired)


async def _set(document: documents.Document, fields: dict[str, Any]) -> None:
    await document.get_pymongo_collection().update_one({"_id": document.id}, {"$set": fields})
