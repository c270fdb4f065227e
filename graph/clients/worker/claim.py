"""Claiming an activity, with one idempotency key until there is an answer."""

import time
from uuid import uuid4

from graph.clients.worker import say
from graph.clients.worker.activity import Claimed
from graph.clients.worker.client import INVALID_STATE, NOT_FOUND, MutationError, Server
from graph.clients.worker.lease_renewal import Lease
from graph.clients.worker.options import Misused, Options
from graph.clients.worker.queries import CLAIM, EXTEND

OVER = frozenset({INVALID_STATE, NOT_FOUND})
"""Refusals of a claim that was granted, whose answer was lost, and whose activity is over by now."""


class Claim:
    """One claim. Repeated because its answer was lost, it is the same claim, and costs no further attempt."""

    def __init__(self, server: Server, options: Options) -> None:
        self._server, self._options = server, options
        self._key = uuid4().hex
        self._was_asked = False
        self.nothing_waits = False

    async def ask(self) -> tuple[Claimed, Lease] | None:
        """The claimed activity, None when there is none. Raises Misused, and Unreachable, after which to repeat it."""
        repeated, self._was_asked = self._was_asked, True
        try:
            return await self._ask(repeated=repeated)
        except MutationError as refusal:
            if repeated and refusal.code in OVER:
                say.warning("%s: %s", self._options.name, refusal)
                return None
            raise Misused(str(refusal)) from refusal

    async def _ask(self, *, repeated: bool) -> tuple[Claimed, Lease] | None:
        options = self._options
        holder = {"worker": options.name, "leaseSeconds": options.lease}
        since = time.monotonic()
        payload = await self._server.try_to_change(CLAIM, idempotencyKey=self._key, kinds=options.kinds, **holder)
        activity = payload["activity"]
        if activity is None:
            self.nothing_waits = payload["nextAvailableAt"] is None
            return None
        claimed = Claimed.of(activity)
        if repeated:
            # It is unknown which of the calls claimed it, and so is the rest of the lease.
            since = time.monotonic()
            await self._server.try_to_change(EXTEND, id=claimed.id, attempt=claimed.attempt, **holder)
        return claimed, Lease(self._server, claimed, options.name, options.lease, since=since)
