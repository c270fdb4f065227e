"""Running a command: in a shell, in a process group of its own, which is ended as a whole."""

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from graph.worker.guard import Guard

SHELL = "/bin/sh"
END_WITHIN = 5.0
"""Seconds between SIGTERM and SIGKILL."""
LOOK_EVERY = 0.03
"""Seconds."""
NOTHING = 0
"""The signal that only asks whether anybody is there."""


class Command:
    """A command that runs, and whatever it starts."""

    def __init__(self, process: asyncio.subprocess.Process, guard: Guard) -> None:
        self._process, self._guard = process, guard
        self._ended = False

    @classmethod
    async def start(cls, line: str, place: Path, environment: Mapping[str, str], guard: Guard) -> "Command":
        """Start a command in a folder. Raises OSError."""
        process = await asyncio.create_subprocess_exec(
            SHELL,
            "-c",
            line,
            cwd=place,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        guard.watch_group(process.pid)
        return cls(process, guard)

    @property
    def stdout(self) -> asyncio.StreamReader:
        """What it writes."""
        assert self._process.stdout
        return self._process.stdout

    @property
    def stderr(self) -> asyncio.StreamReader:
        """What it writes as errors."""
        assert self._process.stderr
        return self._process.stderr

    async def wait(self) -> int:
        """Its exit code, negative for a signal. What it has left running is ended then."""
        # Not the process's own wait(): in some versions of Python that waits for the ends of its pipes as well, which
        # what it has left running holds open.
        while (code := self._process.returncode) is None:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_EVERY)
        await self.end()
        return code

    async def end(self) -> None:
        """End it, and all that it has started in its group: with SIGTERM, and after a while with SIGKILL."""
        if self._ended:
            return
        if await self._told(signal.SIGTERM, END_WITHIN):
            await self._told(signal.SIGKILL, END_WITHIN)
        self._ended = True
        self._guard.forget_group(self._process.pid)

    async def _told(self, number: signal.Signals, seconds: float) -> bool:
        """Whether anything runs still, so many seconds after a signal."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        there = self._send(number)
        while there and loop.time() < until:
            await asyncio.sleep(LOOK_EVERY)
            there = self._send(NOTHING)
        return there

    def _send(self, number: int) -> bool:
        """Whether there is anybody to take a signal."""
        try:
            os.killpg(self._process.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True
