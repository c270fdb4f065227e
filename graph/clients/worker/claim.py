"""Claiming an activity, with one idempotency key until there is an answer."""

import time
from uuid import uuid4

from graph.clients.worker import log
from graph.clients.worker.claimed_activity import ClaimedActivity
from graph.clients.worker.client import INVALID_STATE, NOT_FOUND, GraphQLClient, MutationError
from graph.clients.worker.lease_renewal import Lease
from graph.clients.worker.options import ConfigurationError, Options
from graph.clients.worker.queries import CLAIM, EXTEND

ENDED_CODES = frozenset({INVALID_STATE, NOT_FOUND})
"""Refusals of a claim that was granted, whose answer was lost, and whose activity is over by now."""


class Claim:
    """One claim. Repeated because its answer was lost, it is the same claim, and costs no further attempt."""

    def __init__(self, client: GraphQLClient, options: Options) -> None:
        self._client, self._options = client, options
        self._key = uuid4().hex
        self._was_requested = False
        self.nothing_waits = False

    async def request(self) -> tuple[ClaimedActivity, Lease] | None:
        """The claimed activity, None when there is none.

        Raises ConfigurationError, and TransientError, after which to repeat the request.
        """
        repeated, self._was_requested = self._was_requested, True
        try:
            return await self._request(repeated=repeated)
        except MutationError as refusal:
            if repeated and refusal.code in ENDED_CODES:
                log.warning("%s: %s", self._options.name, refusal)
                return None
            raise ConfigurationError(str(refusal)) from refusal

    async def _request(self, *, repeated: bool) -> tuple[ClaimedActivity, Lease] | None:
        options = self._options
        holder = {"worker": options.name, "leaseSeconds": options.lease}
        since = time.monotonic()
        payload = await self._client.mutate_once(CLAIM, idempotencyKey=self._key, kinds=options.kinds, **holder)
        activity = payload["activity"]
        if activity is None:
            self.nothing_waits = payload["nextAvailableAt"] is None
            return None
        claimed = ClaimedActivity.of(activity)
        if repeated:
            # It is unknown which of the calls claimed it, and so is the rest of the lease.
            since = time.monotonic()
            await self._client.mutate_once(EXTEND, id=claimed.id, attempt=claimed.attempt, **holder)
        return claimed, Lease(self._client, claimed, options.name, options.lease, since=since)
