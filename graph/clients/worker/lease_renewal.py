"""Renewing a lease in the background; it is given up as soon as it may have expired."""

import asyncio
import time
from contextlib import suppress

from graph.clients.worker.activity import Claimed
from graph.clients.worker.client import INVALID_STATE, NOT_FOUND, MutationError, Server
from graph.clients.worker.options import Misused
from graph.clients.worker.queries import EXTEND
from graph.clients.worker.retry import Unreachable

EXTEND_AFTER = 1 / 3
"""The fraction of a lease after which it is renewed."""
TRY_AGAIN = 0.5
"""Seconds before the next attempt when the server did not answer."""


class Lost(Exception):
    """The lease has been lost, so the server will accept no more reports."""


class Lease:
    """The right to report on an activity, as far as its holder can know.

    `lost` is set when the right is gone. `elsewhere` says that the ingestion of a transform's output completed the
    transform, as its command may have requested: then nothing is to be reported, and nothing to be stopped.
    """

    def __init__(self, server: Server, claimed: Claimed, worker: str, seconds: int, *, since: float) -> None:
        self._server, self._claimed = server, claimed
        self._worker, self._seconds = worker, seconds
        # Counted from before the request, so that it expires here before it expires on the server.
        self._until = since + seconds
        self.lost = asyncio.Event()
        self.why = ""
        self.elsewhere = False

    async def keep(self) -> None:
        """Renew the lease whenever EXTEND_AFTER of its time has passed, until it is lost."""
        while not (self.lost.is_set() or self.elsewhere):
            left = self._until - time.monotonic()
            await asyncio.sleep(max(0.0, left - self._seconds * (1 - EXTEND_AFTER)))
            try:
                await self._extend()
            except (MutationError, Misused) as error:
                self._lose(str(error))

    def refused(self, refusal: MutationError) -> None:
        """Note what a refusal says about the lease, and raise Lost, or the refusal itself."""
        if refusal.code not in (INVALID_STATE, NOT_FOUND):
            raise refusal
        if refusal.state == "SUCCEEDED" and not self._claimed.is_step:
            self.elsewhere = True
            return
        self._lose(str(refusal))
        raise Lost(self.why)

    async def _extend(self) -> None:
        asked = time.monotonic()
        ours = {"id": self._claimed.id, "worker": self._worker, "attempt": self._claimed.attempt}
        given = ours | {"leaseSeconds": self._seconds}
        try:
            async with asyncio.timeout(max(0.0, self._until - asked)):
                await self._server.try_to_change(EXTEND, **given)
        except Unreachable:
            await asyncio.sleep(min(TRY_AGAIN, max(0.0, self._until - time.monotonic())))
        except TimeoutError:
            pass
        except MutationError as refusal:
            with suppress(Lost):
                self.refused(refusal)
            return
        else:
            self._until = asked + self._seconds
        if time.monotonic() >= self._until:
            self._lose(f"The server could not be reached for {self._seconds} s.")

    def _lose(self, why: str) -> None:
        self.why = self.why or why
        self.lost.set()
