"""Renewing a lease in the background; it is given up as soon as it may have expired."""

import asyncio
import time
from contextlib import suppress

from graph.clients.worker.claimed_activity import ClaimedActivity
from graph.clients.worker.client import INVALID_STATE, NOT_FOUND, GraphQLClient, MutationError
from graph.clients.worker.options import ConfigurationError
from graph.clients.worker.queries import EXTEND
from graph.clients.worker.retry import TransientError

RENEWAL_FRACTION = 1 / 3
"""The fraction of a lease after which it is renewed."""
RETRY_DELAY = 0.5
"""Seconds before the next attempt when the server did not answer."""


class LeaseLost(Exception):
    """The lease has been lost, so the server will accept no more reports."""


class Lease:
    """The right to report on an activity, as far as its holder can know.

    `lost` is set when the right is gone. `completed_elsewhere` says that the ingestion of a transform's output
    completed the transform, as its command may have requested: then nothing is to be reported, and nothing to be
    stopped.
    """

    def __init__(
        self, client: GraphQLClient, claimed: ClaimedActivity, worker: str, seconds: int, *, since: float
    ) -> None:
        self._client, self._claimed = client, claimed
        self._worker, self._seconds = worker, seconds
        # Counted from before the request, so that it expires here before it expires on the server.
        self._until = since + seconds
        self.lost = asyncio.Event()
        self.why = ""
        self.completed_elsewhere = False

    async def renew_until_lost(self) -> None:
        """Renew the lease whenever RENEWAL_FRACTION of its time has passed, until it is lost."""
        while not (self.lost.is_set() or self.completed_elsewhere):
            left = self._until - time.monotonic()
            await asyncio.sleep(max(0.0, left - self._seconds * (1 - RENEWAL_FRACTION)))
            try:
                await self._extend()
            except (MutationError, ConfigurationError) as error:
                self._lose(str(error))

    def handle_refusal(self, refusal: MutationError) -> None:
        """Note what a refusal says about the lease, and raise LeaseLost, or the refusal itself."""
        if refusal.code not in (INVALID_STATE, NOT_FOUND):
            raise refusal
        if refusal.state == "SUCCEEDED" and not self._claimed.is_step:
            self.completed_elsewhere = True
            return
        self._lose(str(refusal))
        raise LeaseLost(self.why)

    async def _extend(self) -> None:
        requested = time.monotonic()
        holder = {"id": self._claimed.id, "worker": self._worker, "attempt": self._claimed.attempt}
        input = holder | {"leaseSeconds": self._seconds}
        try:
            async with asyncio.timeout(max(0.0, self._until - requested)):
                await self._client.mutate_once(EXTEND, **input)
        except TransientError:
            await asyncio.sleep(min(RETRY_DELAY, max(0.0, self._until - time.monotonic())))
        except TimeoutError:
            pass
        except MutationError as refusal:
            with suppress(LeaseLost):
                self.handle_refusal(refusal)
            return
        else:
            self._until = requested + self._seconds
        if time.monotonic() >= self._until:
            self._lose(f"The lease could not be renewed for {self._seconds} s.")

    def _lose(self, why: str) -> None:
        self.why = self.why or why
        self.lost.set()
