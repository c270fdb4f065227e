"""The worker's loop: claims as many activities as it may run at once, until it is told to stop."""

import asyncio
import os
import random
import signal

from graph.clients.worker import log
from graph.clients.worker.claim import Claim
from graph.clients.worker.client import GraphQLClient, open_client
from graph.clients.worker.metrics import metrics, serve_metrics
from graph.clients.worker.options import ConfigurationError, Options, graphql_address
from graph.clients.worker.pause import Pause
from graph.clients.worker.queries import WHO
from graph.clients.worker.run_activity import ActivityRun
from graph.clients.worker.stop import RELEASE_TIMEOUT, Stop
from graph.clients.worker.watchdog import Watchdog
from graph.clients.worker.workspace import check_space

ROLES = ("WORKER", "ADMIN")


def run(options: Options) -> None:
    """Work until told to stop by SIGTERM or SIGINT, or for as long as the options say. Raises ConfigurationError."""
    watchdog = Watchdog()
    with serve_metrics(options.metrics_host, options.metrics_port):
        asyncio.run(_work(options, watchdog))


async def _work(options: Options, watchdog: Watchdog) -> None:
    async with open_client(graphql_address(options.url), options.token) as client:
        await _check_server(client, options.connect_within)
        log.info(
            "%s: claims %s at %s",
            options.name,
            " and ".join(f"{kind.lower()}s" for kind in options.kinds),
            client.address,
        )
        await Worker(client, options, watchdog).work()


async def _check_server(client: GraphQLClient, seconds: float) -> None:
    """Check that the server answers within some seconds, and that the token's role is sufficient."""
    try:
        async with asyncio.timeout(seconds):
            role = (await client.query(WHO))["viewer"]["role"]
    except TimeoutError:
        raise ConfigurationError(
            f"No server of provenance-graph answered at {client.address} within {seconds:g} s. "
            "Is the address right, and is the server up?"
        ) from None
    if role not in ROLES:
        raise ConfigurationError(f"The token's role is {role}; a worker needs {' or '.join(ROLES)}.")


class Worker:
    """Keeps as many activities running as the options allow."""

    def __init__(self, client: GraphQLClient, options: Options, watchdog: Watchdog) -> None:
        self._client, self._options, self._watchdog = client, options, watchdog
        self._stop, self._pause = Stop(), Pause(options.pause)
        metrics.export_pause(lambda: self._pause.forbids)
        self._running: set[asyncio.Task[None]] = set()
        self._configuration_error: ConfigurationError | None = None
        self._nothing_waits = False

    async def work(self) -> None:
        """Claim and run until there is a reason to stop; running activities finish. Raises ConfigurationError."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop_on_signal)
        while not self._stop.requested.is_set() and await self._step():
            pass
        if self._running:
            await asyncio.wait(self._running)
        if self._configuration_error:
            raise self._configuration_error

    async def _step(self) -> bool:
        """Do the next thing; returns whether to go on after it."""
        if len(self._running) >= self._options.at_once:
            await self._wait_for_any()
            return True
        if self._pause.forbids or not self._has_space():
            await self._wait_for_any(timeout=self._pause.seconds_left or self._options.poll)
            return True
        if await self._begin():
            return not self._options.once
        if not self._options.waits and not self._running and self._nothing_waits:
            return False
        await self._wait_for_any(timeout=self._options.poll * random.uniform(0.5, 1.5))
        return True

    def _has_space(self) -> bool:
        """Whether there is space to run something. It is checked after a pause: else a claim would be handed back."""
        try:
            if self._pause.is_over:
                check_space(self._options.directory)
        except OSError as error:
            self._pause.begin(f"There is no folder to work in: {error}.")
            return False
        return True

    async def _begin(self) -> bool:
        """Claim an activity and start it; returns whether there was one."""
        claim = Claim(self._client, self._options)
        claiming = asyncio.create_task(self._client.retry_until_answered(claim.request))
        stop = asyncio.create_task(self._stop.requested.wait())
        await asyncio.wait({claiming, stop}, return_when=asyncio.FIRST_COMPLETED)
        # A granted claim must be known to be handed back, so a claim in flight gets a moment to finish.
        await asyncio.wait({claiming}, timeout=RELEASE_TIMEOUT)
        stop.cancel()
        claiming.cancel()
        try:
            claimed, lease = await claiming or (None, None)
        except (asyncio.CancelledError, ConfigurationError) as error:
            self._give_up(error if isinstance(error, ConfigurationError) else None)
            return False
        self._nothing_waits = claim.nothing_waits
        if claimed is None or lease is None:
            return False
        log.info("%s: claimed, %s", claimed.label, claimed.id)
        metrics.claims.labels(claimed.kind).inc()
        self._pause.note_claim()
        running = ActivityRun(self._client, claimed, lease, self._options, self._watchdog, self._stop, self._pause)
        self._running.add(asyncio.create_task(self._run(running), name=claimed.id))
        return True

    async def _run(self, running: ActivityRun) -> None:
        try:
            await running.run()
        except ConfigurationError as error:
            self._give_up(error)
        finally:
            self._pause.give_up_trying()

    async def _wait_for_any(self, timeout: float | None = None) -> None:
        """Wait until a running activity has ended, there is a reason to stop, or some seconds have passed."""
        stop = asyncio.create_task(self._stop.requested.wait())
        await asyncio.wait({*self._running, stop}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        self._running = {task for task in self._running if not task.done()}

    def _stop_on_signal(self) -> None:
        if self._stop.requested.is_set():
            # A second signal means at once; the subreapers end the commands.
            os._exit(1)
        log.info("%s: stopping; running activities are ended and handed back", self._options.name)
        self._stop.request()

    def _give_up(self, error: ConfigurationError | None) -> None:
        self._configuration_error = self._configuration_error or error
        self._stop.request()
