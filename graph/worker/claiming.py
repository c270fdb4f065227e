"""The worker itself: it claims as much as it may run at once, until it is told to stop."""

import asyncio
import os
import random
import signal
import time

from graph.worker import say
from graph.worker.claimed import Claimed
from graph.worker.guard import Guard
from graph.worker.lease import Lease
from graph.worker.options import Misused, Options, graphql_address
from graph.worker.queries import CLAIM, WHO
from graph.worker.running import RELEASE_WITHIN, Running
from graph.worker.server import Refused, Server, reached, until_answered

FIRST_ANSWER_WITHIN = 15.0
"""Seconds in which a server must answer for the first time, so that a wrong address is told."""
ROLES = ("WORKER", "ADMIN")


def run(options: Options) -> None:
    """Work until told to stop by SIGTERM or SIGINT, or as long as the options say. Raises Misused."""
    guard = Guard()
    asyncio.run(_work(options, guard))


async def _work(options: Options, guard: Guard) -> None:
    async with reached(graphql_address(options.url), options.token) as server:
        await _introduced(server)
        say.info("%s: claims %s at %s", options.name, " and ".join(_plural(options.kinds)), server.address)
        await Worker(server, options, guard).work()


async def _introduced(server: Server) -> None:
    """Make sure that the server is there and lets us work."""
    try:
        async with asyncio.timeout(FIRST_ANSWER_WITHIN):
            role = (await server.ask(WHO))["viewer"]["role"]
    except TimeoutError:
        raise Misused(f"{server.address} did not answer within {FIRST_ANSWER_WITHIN:.0f} s.") from None
    if role not in ROLES:
        raise Misused(f"The token's role is {role}; a worker needs {' or '.join(ROLES)}.")


def _plural(kinds: tuple[str, ...]) -> list[str]:
    return [f"{kind.lower()}s" for kind in kinds]


class Worker:
    """Keeps as many activities running as it may."""

    def __init__(self, server: Server, options: Options, guard: Guard) -> None:
        self._server, self._options, self._guard = server, options, guard
        self._stopping = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._misused: Misused | None = None

    async def work(self) -> None:
        """Claim and run until there is a reason to stop, and finish what runs. Raises Misused."""
        for told in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(told, self._told_to_stop)
        while not self._stopping.is_set() and await self._go_on():
            pass
        if self._running:
            await asyncio.wait(self._running)
        if self._misused:
            raise self._misused

    async def _go_on(self) -> bool:
        """Do the next thing; whether there is another after it."""
        if len(self._running) >= self._options.at_once:
            await self._one_ends()
            return True
        if await self._begin():
            return not self._options.once
        if not self._options.waits and not self._running:
            return False
        await self._one_ends(within=self._options.poll * random.uniform(0.5, 1.5))
        return True

    async def _begin(self) -> bool:
        """Whether something was claimed, and runs."""
        claiming = asyncio.create_task(until_answered(self._claim))
        stop = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({claiming, stop}, return_when=asyncio.FIRST_COMPLETED)
        # What a claim gets must be known to be handed back, so one that is under way may take a moment longer.
        await asyncio.wait({claiming}, timeout=RELEASE_WITHIN)
        stop.cancel()
        claiming.cancel()
        try:
            claimed, lease = await claiming or (None, None)
        except (asyncio.CancelledError, Misused) as error:
            self._give_up(error if isinstance(error, Misused) else None)
            return False
        if claimed is None or lease is None:
            return False
        say.info("%s: claimed, %s", claimed.label, claimed.id)
        running = Running(self._server, claimed, lease, self._options, self._guard)
        self._running.add(asyncio.create_task(self._run(running), name=claimed.id))
        return True

    async def _claim(self) -> tuple[Claimed, Lease] | None:
        """What was claimed. When an answer is lost, so is what it told of: its lease lapses."""
        since = time.monotonic()
        options = self._options
        given = {"worker": options.name, "kinds": options.kinds, "leaseSeconds": options.lease}
        try:
            activity = (await self._server.try_to_change(CLAIM, **given))["activity"]
        except Refused as refusal:
            raise Misused(str(refusal)) from refusal
        if activity is None:
            return None
        claimed = Claimed.of(activity)
        return claimed, Lease(self._server, claimed, options.name, options.lease, since=since)

    async def _run(self, running: Running) -> None:
        try:
            await running.run(self._stopping)
        except Misused as error:
            self._give_up(error)

    async def _one_ends(self, within: float | None = None) -> None:
        """Wait until one of those that run has ended, or there is reason to stop, or some seconds are over."""
        stop = asyncio.create_task(self._stopping.wait())
        await asyncio.wait({*self._running, stop}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        self._running = {task for task in self._running if not task.done()}

    def _told_to_stop(self) -> None:
        if self._stopping.is_set():
            # Whoever says it twice does not want to wait; the guard ends the commands.
            os._exit(1)
        say.info("%s: stopping; what runs is ended and handed back", self._options.name)
        self._stopping.set()

    def _give_up(self, error: Misused | None) -> None:
        self._misused = self._misused or error
        self._stopping.set()
