"""Running a command in a shell, under a subreaper that ends all of its descendants."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from graph.clients.worker import log
from graph.clients.worker.subreaper import descendants
from graph.clients.worker.watchdog import Watchdog

SUBREAPER = Path(__file__).with_name("subreaper.py")
END_TIMEOUT = 7.0
"""Seconds for the subreaper to end all processes: SIGKILL comes after five, and it gives up a second later."""


class CommandLost(Exception):
    """The subreaper was killed, so the command's exit code is unknown."""


class Command:
    """A running command and every process that it starts."""

    def __init__(self, process: asyncio.subprocess.Process, control: "_Control", group: int) -> None:
        self._process, self._control, self._group = process, control, group
        self._ended = asyncio.create_task(self._end_of_command())

    @classmethod
    async def start(cls, line: str, place: Path, environment: Mapping[str, str], watchdog: Watchdog) -> "Command":
        """Start a command in a folder. Raises OSError."""
        ours, theirs = socket.socketpair()
        with theirs:
            control = _Control(*await asyncio.open_connection(sock=ours))
            try:
                process = await asyncio.create_subprocess_exec(
                    # UTF-8 whatever the locale, which parameters may set, so that the line arrives unchanged.
                    *(sys.executable, "-I", "-S", "-X", "utf8", str(SUBREAPER), str(theirs.fileno()), line),
                    cwd=place,
                    env=environment,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    # A signal from the terminal that ends the worker must not end the subreaper first.
                    start_new_session=True,
                    # While it holds the watchdog's pipe, its folder is not removed.
                    pass_fds=(theirs.fileno(), watchdog.descriptor),
                )
            except BaseException:
                control.close()
                raise
        try:
            return cls(process, control, await control.shell_started())
        except BaseException:
            control.close()
            raise

    @property
    def stdout(self) -> asyncio.StreamReader:
        """The command's standard output."""
        assert self._process.stdout
        return self._process.stdout

    @property
    def stderr(self) -> asyncio.StreamReader:
        """The command's standard error."""
        assert self._process.stderr
        return self._process.stderr

    async def wait(self) -> int:
        """The command's exit code, negative for a signal, once all its descendants are gone. Raises CommandLost."""
        return await asyncio.shield(self._ended)

    async def end(self) -> None:
        """End the command and all its descendants: by SIGTERM, and after a while by SIGKILL."""
        self._control.end()
        await asyncio.wait({self._ended}, timeout=END_TIMEOUT)
        self._control.close()
        if not self._ended.done():
            log.error(
                "Process %d did not end the command in time; it is killed with all its descendants.", self._process.pid
            )
            _kill_tree(self._process.pid)
            self._ended.cancel()
        await asyncio.gather(self._ended, return_exceptions=True)

    async def _end_of_command(self) -> int:
        try:
            code, left = await self._control.command_ended()
        except OSError:
            # Without the subreaper, only the command's process group is known.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, signal.SIGKILL)
            raise CommandLost("The process that ran the command was killed.") from None
        if left:
            log.error("%d processes of the command did not end and are left behind.", left)
        return code


def _kill_tree(root: int) -> None:
    for pid in (*descendants(root), root):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


class _Control:
    """The worker's side of the subreaper's protocol, which `subreaper.py` describes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def shell_started(self) -> int:
        """The process group of the command, once started. Raises OSError."""
        word, *values = await self._words()
        if word == "refused":
            raise OSError(int(values[0]), f"No shell can be started: {os.strerror(int(values[0]))}")
        return int(values[0])

    async def command_ended(self) -> tuple[int, int]:
        """The exit code, and the number of processes left behind. Raises OSError when the subreaper is gone."""
        _, code, left = await self._words()
        return int(code), int(left)

    def end(self) -> None:
        """Ask the subreaper to end the command."""
        self._writer.write(b"end\n")

    def close(self) -> None:
        """Close the stream; processes that still run are ended as if this worker were gone."""
        self._writer.close()

    async def _words(self) -> list[str]:
        words = (await self._reader.readline()).decode().split()
        if not words:
            raise ConnectionResetError("The process that was to run the command has ended.")
        return words
