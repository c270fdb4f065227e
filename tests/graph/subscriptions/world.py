"""An execution to follow, and what a worker in another process does to it."""

from dataclasses import dataclass
from typing import Any

import documents
from documents.activity import ActivityStatus
from tests.builders import a_log_entry, a_step, a_twin, a_user, an_execution, keep


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

    async def set_execution(self, **fields: Any) -> None:
        """Let the execution hold these values."""
        await _set(self.execution, fields)

    async def set_public(self, public: bool) -> None:
        """Publish or hide the twin, as updateDigitalTwin does."""
        for document in (self.twin, self.execution, *self.steps):
            await _set(document, {"public": public})

    async def write(self, first: int, last: int, **fields: Any) -> None:
        """Store lines of the first step by their sequences, all at once."""
        lines = [a_log_entry(self.steps[0], number, **fields) for number in range(first, last + 1)]
        await documents.LogEntry.insert_many(lines)
        # As appendLogs does, in one transaction.
        change = {"$max": {"log_end": last}, "$inc": {"reports": 1}}
        await documents.Step.get_pymongo_collection().update_one({"_id": self.steps[0].id}, change)


async def a_world(**fields: Any) -> World:
    """A public twin with an execution of two steps, all kept."""
    owner = a_user()
    twin = a_twin(owner, **{"public": True, **fields})
    execution = an_execution(twin)
    steps = [a_step(execution, ordinal=number, attempt=1) for number in range(2)]
    await keep(owner, twin, execution, *steps)
    return World(owner, twin, execution, steps)


async def _set(document: documents.Document, fields: dict[str, Any]) -> None:
    await document.get_pymongo_collection().update_one({"_id": document.id}, {"$set": fields})
