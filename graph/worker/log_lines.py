"""A command's output as log lines: numbered as they are read, sent in batches, again until they have arrived."""

import asyncio
import codecs
import io
from datetime import UTC, datetime
from typing import Any

import orjson

from graph.worker import say
from graph.worker.claimed import Claimed
from graph.worker.lease import Lease
from graph.worker.queries import APPEND
from graph.worker.server import Refused, Server

INFO, WARNING = "INFO", "WARNING"
LONGEST_LINE = 10_000
"""Characters; the rest of a longer one is the next line."""
MOST_LINES, MOST_BYTES = 1_000, 500_000
"""Of a batch: what the server takes, and half of what its requests may hold."""
MOST_WAITING = 5_000
"""Lines that wait to be sent; with more, the command waits to write."""
LINGER = 0.3
"""Seconds that a line may wait for others to be sent with."""
CHUNK = 65_536
LOOK_AGAIN = 1.0
"""Seconds after which a stream that stays open is given up, once everything that wrote to it is over."""

Line = dict[str, Any]


class Log:
    """The log of one attempt. What it is made of, `lines` counts; `last` are its latest errors, for people."""

    def __init__(self, server: Server, claimed: Claimed, lease: Lease) -> None:
        self._server, self._claimed, self._lease = server, claimed, lease
        self._waiting: asyncio.Queue[Line | None] = asyncio.Queue(MOST_WAITING)
        self._over = False
        self._closed = False
        self.lines = 0
        self.last: list[str] = []

    async def follow(self, stream: asyncio.StreamReader, level: str) -> None:
        """Take lines from a stream until it ends."""
        # A progress bar's carriage returns end lines as well. What is no UTF-8 is shown as such.
        decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")("replace"), translate=True)
        rest = ""
        while chunk := await self._read(stream):
            rest = await self._take(rest + decoder.decode(chunk), level)
        await self._take(rest + decoder.decode(b"", final=True), level, final=True)

    def over(self) -> None:
        """Nothing writes any more: streams that somebody holds open all the same are left."""
        self._over = True

    async def send(self) -> None:
        """Send lines until the log is closed. Raises Lost."""
        sent, batch = 0, await self._batch()
        while batch:
            await self._append(sent + 1, batch)
            sent += len(batch)
            batch = await self._batch()

    async def close(self) -> None:
        """Say that no lines follow."""
        await self._waiting.put(None)

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
        """Keep the whole lines of a text; what is left of it."""
        *whole, rest = text.split("\n")
        for line in whole:
            for start in range(0, max(len(line), 1), LONGEST_LINE):
                await self._put(line[start : start + LONGEST_LINE], level)
        while len(rest) > LONGEST_LINE or (final and rest):
            await self._put(rest[:LONGEST_LINE], level)
            rest = rest[LONGEST_LINE:]
        return rest

    async def _put(self, message: str, level: str) -> None:
        # What a request may not hold.
        message = message.replace("\0", "\N{REPLACEMENT CHARACTER}")
        self.lines += 1
        if level == WARNING and message.strip():
            self.last = [*self.last[-4:], message]
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        await self._waiting.put({"timestamp": at, "level": level, "message": message})

    async def _batch(self) -> list[Line]:
        """The next lines, empty when the log is closed and all of them are sent."""
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
        except Refused as refusal:
            try:
                self._lease.refused(refusal)
            except Refused:
                say.warning("%s: %d log lines were not taken: %s", self._claimed.label, len(batch), refusal)
