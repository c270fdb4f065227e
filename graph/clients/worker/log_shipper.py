"""A command's output as log lines: numbered as they are read, sent in batches, repeated until they have arrived."""

import asyncio
import codecs
import io
from datetime import UTC, datetime
from typing import Any

import orjson

from graph.clients.worker import say
from graph.clients.worker.activity import Claimed
from graph.clients.worker.client import MutationError, Server
from graph.clients.worker.lease_renewal import Lease
from graph.clients.worker.queries import APPEND

INFO, WARNING = "INFO", "WARNING"
LONGEST_LINE = 10_000
"""Characters of a line; the rest of a longer one becomes the next line."""
MOST_LINES, MOST_BYTES = 1_000, 500_000
"""Lines and bytes of a batch: the server's limit, and half of its limit for requests."""
MOST_WAITING = 5_000
"""Lines that wait to be sent; with more, the command's writes block."""
LINGER = 0.3
"""Seconds that a line may wait for others of its batch."""
CHUNK = 65_536
LOOK_AGAIN = 1.0
"""Seconds after which an open stream is given up, once all its writers have ended."""

Line = dict[str, Any]


class Log:
    """The log of one attempt. `lines` counts its lines; `last` holds the latest lines of stderr, for error messages."""

    def __init__(self, server: Server, claimed: Claimed, lease: Lease) -> None:
        self._server, self._claimed, self._lease = server, claimed, lease
        self._waiting: asyncio.Queue[Line | None] = asyncio.Queue(MOST_WAITING)
        self._over = False
        self._closed = False
        self.lines = 0
        self.last: list[str] = []

    async def follow(self, stream: asyncio.StreamReader, level: str) -> None:
        """Read lines from a stream until it ends."""
        # A progress bar's carriage returns end lines as well. Bytes that are not UTF-8 are replaced.
        decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=True)
        rest = ""
        while chunk := await self._read(stream):
            rest = await self._take(rest + decoder.decode(chunk), level)
        await self._take(rest + decoder.decode(b"", final=True), level, final=True)

    def over(self) -> None:
        """Note that all writers have ended: streams that are still held open are given up."""
        self._over = True

    async def send(self) -> None:
        """Send lines until the log is closed. Raises Lost and GaveUp."""
        sent, batch = 0, await self._batch()
        while batch:
            await self._append(sent + 1, batch)
            sent += len(batch)
            batch = await self._batch()

    async def close(self) -> None:
        """Note that no lines follow."""
        await self._waiting.put(None)

    async def note(self, message: str) -> None:
        """Add a line of the worker's own."""
        await self._put(f"worker: {message}"[:LONGEST_LINE], WARNING)

    async def _read(self, stream: asyncio.StreamReader) -> bytes:
        reading = asyncio.create_task(stream.read(CHUNK))
        try:
            while not reading.done():
                await asyncio.wait({reading}, timeout=LOOK_AGAIN)
                if self._over and not reading.done():
                    return b""
            return reading.result()
        finally:
            reading.cancel()

    async def _take(self, text: str, level: str, *, final: bool = False) -> str:
        """Queue the complete lines of a text; returns the rest."""
        *whole, rest = text.split("\n")
        for line in whole:
            for start in range(0, max(len(line), 1), LONGEST_LINE):
                await self._put_written(line[start : start + LONGEST_LINE], level)
        while len(rest) > LONGEST_LINE or (final and rest):
            await self._put_written(rest[:LONGEST_LINE], level)
            rest = rest[LONGEST_LINE:]
        return rest

    async def _put_written(self, message: str, level: str) -> None:
        if level == WARNING and message.strip():
            self.last = [*self.last[-4:], message]
        await self._put(message, level)

    async def _put(self, message: str, level: str) -> None:
        # Characters that a request may not contain.
        message = message.replace("\0", "\N{REPLACEMENT CHARACTER}")
        self.lines += 1
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        await self._waiting.put({"timestamp": at, "level": level, "message": message})

    async def _batch(self) -> list[Line]:
        """The next lines, empty when the log is closed and everything is sent."""
        if self._closed or (first := await self._waiting.get()) is None:
            return []
        batch, size = [first], len(orjson.dumps(first))
        until = asyncio.get_running_loop().time() + LINGER
        while len(batch) < MOST_LINES and size < MOST_BYTES:
            try:
                async with asyncio.timeout_at(until):
                    line = await self._waiting.get()
            except TimeoutError:
                break
            if line is None:
                self._closed = True
                break
            batch.append(line)
            size += len(orjson.dumps(line))
        return batch

    async def _append(self, first: int, batch: list[Line]) -> None:
        if self._lease.elsewhere:
            return
        given = {"activityId": self._claimed.id, "attempt": self._claimed.attempt, "firstSequence": first}
        try:
            await self._server.change(APPEND, **given, entries=batch)
        except MutationError as refusal:
            try:
                self._lease.refused(refusal)
            except MutationError:
                say.warning("%s: %d log lines were not accepted: %s", self._claimed.label, len(batch), refusal)
