"""Choosing the next part for an ingest worker: parts of lost workers first, then those that have waited longest."""

from contextlib import suppress
from datetime import timedelta
from functools import partial

import documents
from documents.activities.log_entry import LogLevel
from documents.mongo.transaction import in_transaction
from resolvers.activities.state_machine import counted_attempts
from resolvers.galaxy.ingest.completion import fail_exhausted_part
from resolvers.galaxy.ingest.part_lease import (
    ClaimedPart,
    LeaseLost,
    claim_ready,
    end_session,
    oldest_expired,
    release,
    take_over,
)
from resolvers.galaxy.ingestion_log import append_ingestion_line
from resolvers.limits import MAX_ATTEMPTS
from resolvers.reads.rows import Row, collection_of


class PartClaimer:
    """Claims parts for one worker, of generations that its parser makes."""

    def __init__(self, worker: str, lease: timedelta, parser: str) -> None:
        self._worker, self._lease, self._parser = worker, lease, parser
        self._skipped: list[str] = []
        """Generations that another release of this program builds."""

    async def next(self) -> ClaimedPart | None:
        """Claim the next part; None when none waits."""
        while True:
            claim = await self._next()
            if claim is None or await self._release_unless_ours(claim):
                return claim

    async def take_over_if_lost(self, part_id: str) -> ClaimedPart | None:
        """Claim this part if its worker is lost: it released the part, or was silent for longer than its lease."""
        claim = await claim_ready(self._worker, self._lease, {"_id": part_id})
        if claim is not None:
            return claim
        expired = await oldest_expired({"_id": part_id})
        if expired is None:
            return None
        await end_session(expired)
        return await self._take_over(expired)

    async def _next(self) -> ClaimedPart | None:
        ours = {"generationRef": {"$nin": self._skipped}}
        while expired := await oldest_expired(ours):
            await end_session(expired)
            if not expired["folding"] and counted_attempts(expired) >= MAX_ATTEMPTS:
                # Another worker may have been faster.
                with suppress(LeaseLost):
                    await fail_exhausted_part(expired)
            elif claim := await self._take_over(expired):
                return claim
        return await claim_ready(self._worker, self._lease, ours)

    async def _take_over(self, expired: Row) -> ClaimedPart | None:
        claim = await take_over(expired, self._worker, self._lease)
        if claim is not None:
            silence = f"{expired['worker']} was silent for longer than its lease."
            why = (expired.get("error") or {}).get("message") or silence
            line = f"Attempt {claim.part['attempt']} at {claim.archive} begins on {self._worker}. {why}"
            await in_transaction(partial(append_ingestion_line, claim.part["ingestionRef"], LogLevel.WARNING, line))
        return claim

    async def _release_unless_ours(self, claim: ClaimedPart) -> bool:
        """Release the part unless this parser builds its generation; returns whether it does."""
        if claim.part["generationRef"] is None:
            return True
        ours = {"_id": claim.generation, "parser_version": self._parser}
        if await collection_of(documents.Generation).find_one(ours, {"_id": 1}):
            return True
        self._skipped.append(claim.generation)
        await release(claim)
        return False
