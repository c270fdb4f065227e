"""The next work of an ingest worker: parts left by lost workers, then the parts that have waited longest."""

from datetime import timedelta
from functools import partial

import documents
from documents.activities.log_entry import LogLevel
from documents.mongo.transaction import in_transaction
from resolvers.activities.state_machine import MOST_ATTEMPTS, tries
from resolvers.galaxy.ingest.completion import give_up
from resolvers.galaxy.ingest.part_lease import Held, Lost, claim_ready, end_session, hand_back, oldest_lapsed, take_over
from resolvers.galaxy.ingestion_log import say
from resolvers.reads.rows import Row, collection_of


class Claimer:
    """Claims parts for one worker, of generations that its parser makes."""

    def __init__(self, worker: str, lease: timedelta, parser: str) -> None:
        self._worker, self._lease, self._parser = worker, lease, parser
        self._skipped: list[str] = []
        """Generations that another release of this program builds."""

    async def next(self) -> Held | None:
        """The part to work on; None when none waits."""
        while True:
            held = await self._next()
            if held is None or await self._ours(held):
                return held

    async def of_lost_worker(self, part_id: str) -> Held | None:
        """A certain part, if its worker is lost: handed back, or silent for longer than its lease."""
        held = await claim_ready(self._worker, self._lease, {"_id": part_id})
        if held is not None:
            return held
        seen = await oldest_lapsed({"_id": part_id})
        if seen is None:
            return None
        await end_session(seen)
        return await self._taken_over(seen)

    async def _next(self) -> Held | None:
        ours = {"generationRef": {"$nin": self._skipped}}
        while seen := await oldest_lapsed(ours):
            await end_session(seen)
            if not seen["folding"] and tries(seen) >= MOST_ATTEMPTS:
                await _give_up(seen)
            elif held := await self._taken_over(seen):
                return held
        return await claim_ready(self._worker, self._lease, ours)

    async def _taken_over(self, seen: Row) -> Held | None:
        held = await take_over(seen, self._worker, self._lease)
        if held is not None:
            why = (seen.get("error") or {}).get("message") or f"{seen['worker']} was silent for longer than its lease."
            line = f"Attempt {held.part['attempt']} at {held.archive} begins on {self._worker}. {why}"
            await in_transaction(partial(say, held.part["ingestionRef"], LogLevel.WARNING, line))
        return held

    async def _ours(self, held: Held) -> bool:
        """Whether this parser builds the part's generation; the part is handed back otherwise."""
        if held.part["generationRef"] is None:
            return True
        made_by = {"_id": held.generation, "parser_version": self._parser}
        if await collection_of(documents.Generation).find_one(made_by, {"_id": 1}):
            return True
        self._skipped.append(held.generation)
        await hand_back(held)
        return False


async def _give_up(seen: Row) -> None:
    try:
        await give_up(seen)
    except Lost:
        # Another worker was faster.
        return
