"""Topology that bounds the wait for a primary that hangs, and for the election of the next.

The driver by itself lets an operation wait for a primary until its request's deadline, and does not interrupt a command
sent to a primary that hangs, although the other members have elected a new one meanwhile. The topology here needs
private names of the driver, so with other versions the driver's own is used.
"""

import asyncio
import time
from contextvars import Context
from typing import Any

from pymongo.asynchronous.server import Server
from pymongo.asynchronous.topology import Topology
from pymongo.errors import NetworkTimeout, ServerSelectionTimeoutError
from pymongo.server_description import ServerDescription

from documents.mongo import pool

ELECTION_TIMEOUT = 5.0
"""Seconds after the primary's last reply for which operations wait for the next; later ones are refused at once."""
SILENCE_TIMEOUT = 4.5
"""Seconds after the primary's last reply within which its silence is noticed: heartbeat and connect timeout, and a
margin. If it takes longer, this process itself was paused, as when its CPU is throttled between requests."""

Address = tuple[str, int | None]


class FailFastTopology(Topology):
    """A topology that bounds the wait for a primary, and interrupts commands to one that was replaced."""

    _last_reply_at: float | None = None
    """Monotonic time of a lost primary's last reply; None while there is a primary, and before the first operation."""
    _primary: Address | None = None
    """The last known primary."""

    def get_server_selection_timeout(self) -> float:
        """Seconds for which an operation may wait for a server."""
        timeout: float = super().get_server_selection_timeout()
        if self.description.has_writable_server():
            return timeout
        if self._last_reply_at is None:
            self._last_reply_at = time.monotonic()
        return min(timeout, max(0.0, self._last_reply_at + ELECTION_TIMEOUT - time.monotonic()))

    async def select_servers(self, *args: Any, **kwargs: Any) -> list[Server]:
        """The servers for an operation. Raises ServerSelectionTimeoutError."""
        try:
            return await super().select_servers(*args, **kwargs)
        except ServerSelectionTimeoutError:
            # A refusal takes no time at all: a caller that retries in a loop must not starve the monitors.
            await asyncio.sleep(0)
            raise

    async def _process_change(self, server_description: ServerDescription, *args: Any, **kwargs: Any) -> None:
        before = self.description.server_descriptions()
        await super()._process_change(server_description, *args, **kwargs)
        if isinstance(server_description.error, NetworkTimeout):
            self._interrupt_commands(server_description.address)
        primary = self._find_primary()
        if primary is not None:
            self._follow(primary)
        elif self._last_reply_at is None and not self.description.has_writable_server():
            self._last_reply_at = _last_reply_time(before.get(self._primary) if self._primary else None)

    def _find_primary(self) -> Address | None:
        """The one server that takes writes, if there is exactly one."""
        servers = self.description.server_descriptions().items()
        writable = [address for address, server in servers if server.is_writable]
        return writable[0] if len(writable) == 1 else None

    def _follow(self, primary: Address) -> None:
        """Record the primary, and interrupt commands to the previous one unless it still answers."""
        self._last_reply_at = None
        last, self._primary = self._primary, primary
        if last is None or last == primary:
            return
        server = self.description.server_descriptions().get(last)
        if server is not None and not server.is_server_type_known:
            self._interrupt_commands(last)

    def _interrupt_commands(self, address: Address) -> None:
        """Interrupt commands that wait for a server's reply. The driver repeats those that may be repeated."""
        server = self._servers.get(address)
        if server is not None:
            # In a task of its own: the topology's lock must not be held while connections are closed.
            task = asyncio.get_running_loop().create_task(_interrupt(server), context=Context())
            _interrupting.add(task)
            task.add_done_callback(_interrupting.discard)


def _last_reply_time(lost: ServerDescription | None) -> float:
    """The time of a lost primary's last reply; now, where that is unknown or this process was paused meanwhile."""
    at = time.monotonic()
    if lost is None or not lost.is_writable or lost.last_update_time is None:
        return at
    return lost.last_update_time if at - lost.last_update_time < SILENCE_TIMEOUT else at


_interrupting: set[asyncio.Task[None]] = set()


async def _interrupt(server: Server) -> None:
    pool.interrupt_replies(server.pool)
    await server.pool.reset(interrupt_connections=True)
    # The server may have answered again meanwhile.
    if server.description.is_readable:
        await server.pool.ready()
