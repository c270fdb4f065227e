"""File descriptors: raising the limit, and reporting when none is left.

Without one, no connection can be accepted or opened, and no file. Which of these fails first is chance, and some fail
silently, so the check is whether a descriptor can be opened at all.
"""

import asyncio
import errno
import os
import resource
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog

CHECK_INTERVAL = 1.0
LOG_INTERVAL = 60.0
"""Seconds between two log lines while none is left."""
DESCRIPTOR_LIMIT = 65_536
EXHAUSTED = {
    errno.EMFILE: "no file descriptors are left to this process: raise its limit (ulimit -n)",
    errno.ENFILE: "no file descriptors are left to this machine: raise its limit (sysctl fs.file-max)",
}

log = structlog.stdlib.get_logger("graph.descriptors")


def raise_limit() -> None:
    """Raise this process's limit as far as it may, up to DESCRIPTOR_LIMIT: many systems begin with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = DESCRIPTOR_LIMIT if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTOR_LIMIT)
    if soft != resource.RLIM_INFINITY and soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))


@asynccontextmanager
async def watch_descriptors(count: Callable[[], None]) -> AsyncIterator[None]:
    """Within the block, log when no descriptor is left and when one is again; `count` each second without."""
    watch = _Watch(count)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(watch.handle)
    task = asyncio.create_task(watch.run(), name="descriptors")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        loop.set_exception_handler(None)


class _Watch:
    def __init__(self, count: Callable[[], None]) -> None:
        self._count = count
        self._counted_at = self._logged_at = float("-inf")
        self._exhausted = False

    async def run(self) -> None:
        """Check each second whether a descriptor can be opened."""
        while True:
            try:
                os.close(os.dup(2))
            except OSError as error:
                self._record(error)
            else:
                if self._exhausted:
                    self._exhausted = False
                    log.info("file descriptors are available again")
            await asyncio.sleep(CHECK_INTERVAL)

    def handle(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Handle the event loop's errors: it would log a traceback for each connection that cannot be accepted."""
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in EXHAUSTED:
            self._record(error)
        else:
            loop.default_exception_handler(context)

    def _record(self, error: OSError) -> None:
        """Count once per second, and log once per minute, that none is left."""
        at = time.monotonic()
        self._exhausted = True
        if at - self._counted_at >= CHECK_INTERVAL / 2:
            self._counted_at = at
            self._count()
        if at - self._logged_at >= LOG_INTERVAL:
            self._logged_at = at
            limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            log.error(EXHAUSTED.get(error.errno or 0, str(error)), limit=limit)
