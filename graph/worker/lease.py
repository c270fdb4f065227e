"""Keeping a lease: it is extended in the background, and given up as soon as it may have lapsed."""

import asyncio
import time
from contextlib import suppress

from graph.worker.claimed import Claimed
from graph.worker.options import Misused
from graph.worker.queries import EXTEND
from graph.worker.server import INVALID_STATE, NOT_FOUND, Refused, Server, Unreachable

TRY_AGAIN = 0.5
"""Seconds after a server that did not answer."""


class Lost(Exception):
    """The lease is not ours any more, so nothing that we say counts."""


class Lease:
    """The right to report on an activity, as far as its holder can know.

    `lost` is set when it is gone. `elsewhere` says that a transform was completed by the ingestion of what it made,
    which its command may ask for itself: nothing is to be reported then, and nothing to be stopped.
    """

    def __init__(self, server: Server, claimed: Claimed, worker: str, seconds: int, *, since: float) -> None:
        self._server, self._claimed = server, claimed
        self._worker, self._seconds = worker, seconds
        # Counted from before the server was asked, so that it ends here before it ends there.
        self._until = since + seconds
        self.lost = asyncio.Event()
        self.why = ""
        self.elsewhere = False

    async def keep(self) -> None:
        """Extend it whenever a third of its time is over, until it is lost."""
        while not (self.lost.is_set() or self.elsewhere):
            await asyncio.sleep(max(0.0, self._until - time.monotonic() - self._seconds * 2 / 3))
            try:
                await self._extend()
            except (Refused, Misused) as error:
                self._lose(str(error))

    def refused(self, refusal: Refused) -> None:
        """Note what a refusal says about the lease, and raise what it means: Lost, or the refusal itself."""
        if refusal.code not in (INVALID_STATE, NOT_FOUND):
            raise refusal
        if refusal.state == "SUCCEEDED" and not self._claimed.is_step:
            self.elsewhere = True
            return
        self._lose(str(refusal))
        raise Lost(self.why)

    async def _extend(self) -> None:
        asked = time.monotonic()
        given = {"id": self._claimed.id, "worker": self._worker, "leaseSeconds": self._seconds}
        try:
            async with asyncio.timeout(max(0.0, self._until - asked)):
                payload = await self._server.try_to_change(EXTEND, **given)
        except Unreachable:
            await asyncio.sleep(min(TRY_AGAIN, max(0.0, self._until - time.monotonic())))
        except TimeoutError:
            pass
        except Refused as refusal:
            with suppress(Lost):
                self.refused(refusal)
            return
        else:
            if payload["activity"]["attempt"] == self._claimed.attempt:
                self._until = asked + self._seconds
            else:
                self._lose("It is at a later attempt.")
        if time.monotonic() >= self._until:
            self._lose(f"The server could not be reached for {self._seconds} s.")

    def _lose(self, why: str) -> None:
        self.why = self.why or why
        self.lost.set()
