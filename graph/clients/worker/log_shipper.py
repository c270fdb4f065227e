"""A command's output as log lines: numbered as they are read, sent in batches, repeated until they have arrived."""

import asyncio
import codecs
import io
from datetime import UTC, datetime
from typing import Any

import orjson

from graph.clients.worker import log
from graph.clients.worker.claimed_activity import ClaimedActivity
from graph.clients.worker.client import GraphQLClient, MutationError
from graph.clients.worker.lease_renewal import Lease
from graph.clients.worker.queries import APPEND

INFO, WARNING = "INFO", "WARNING"
MAX_LINE_LENGTH = 10_000
"""Characters of a line; the rest of a longer one becomes the next line."""
MAX_BATCH_LINES, MAX_BATCH_BYTES = 1_000, 500_000
"""Lines and bytes of a batch: the server's limit, and half of its limit for requests."""
MAX_WAITING_LINES = 5_000
"""Lines that wait to be sent; with more, the command's writes block."""
FLUSH_INTERVAL = 0.3
"""Seconds that a line may wait for others of its batch."""
CHUNK_BYTES = 65_536
POLL_INTERVAL = 1.0
"""Seconds after which an open stream is given up, once all its writers have ended."""

Line = dict[str, Any]


class LogShipper:
    """The log of one attempt. `lines` counts its lines; `last` holds the latest lines of stderr, for error messages."""

    def __init__(self, client: GraphQLClient, claimed: ClaimedActivity, lease: Lease) -> None:
        self._client, self._claimed, self._lease = client, claimed, lease
        self._waiting: asyncio.Queue[Line | None] = asyncio.Queue(MAX_WAITING_LINES)
        self._writers_ended = False
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

    def stop_reading(self) -> None:
        """Note that all writers have ended: streams that are still held open are given up."""
        self._writers_ended = True

    async def send(self) -> None:
        """Send lines until the log is closed. Raises LeaseLost and RetryTimeout."""
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
        await self._enqueue(f"worker: {message}"[:MAX_LINE_LENGTH], WARNING)

    async def note_after_end(self, message: str) -> None:
        """Send a line of the worker's own when the log is closed and everything else is sent.

        Raises LeaseLost and RetryTimeout.
        """
        line = self._next_line(f"worker: {message}"[:MAX_LINE_LENGTH], WARNING)
        await self._append(self.lines, [line])

    async def _read(self, stream: asyncio.StreamReader) -> bytes:
        reading = asyncio.create_task(stream.read(CHUNK_BYTES))
        try:
            while not reading.done():
                await asyncio.wait({reading}, timeout=POLL_INTERVAL)
                if self._writers_ended and not reading.done():
                    return b""
            return reading.result()
        finally:
            reading.cancel()

    async def _take(self, text: str, level: str, *, final: bool = False) -> str:
        """Queue the complete lines of a text; returns the rest."""
        *complete, rest = text.split("\n")
        for line in complete:
            for start in range(0, max(len(line), 1), MAX_LINE_LENGTH):
                await self._put_output(line[start : start + MAX_LINE_LENGTH], level)
        while len(rest) > MAX_LINE_LENGTH or (final and rest):
            await self._put_output(rest[:MAX_LINE_LENGTH], level)
            rest = rest[MAX_LINE_LENGTH:]
        return rest

    async def _put_output(self, message: str, level: str) -> None:
        if level == WARNING and message.strip():
            self.last = [*self.last[-4:], message]
        await self._enqueue(message, level)

    async def _enqueue(self, message: str, level: str) -> None:
        await self._waiting.put(self._next_line(message, level))

    def _next_line(self, message: str, level: str) -> Line:
        self.lines += 1
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        # Characters that a request may not contain.
        return {"timestamp": at, "level": level, "message": message.replace("\0", "\N{REPLACEMENT CHARACTER}")}

    async def _batch(self) -> list[Line]:
        """The next lines, empty when the log is closed and everything is sent."""
        if self._closed or (first := await self._waiting.get()) is None:
            return []
        batch, size = [first], len(orjson.dumps(first))
        until = asyncio.get_running_loop().time() + FLUSH_INTERVAL
        while len(batch) < MAX_BATCH_LINES and size < MAX_BATCH_BYTES:
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
        if self._lease.completed_elsewhere:
            return
        input = {"activityId": self._claimed.id, "attempt": self._claimed.attempt, "firstSequence": first}
        try:
            await self._client.mutate(APPEND, **input, entries=batch)
        except MutationError as refusal:
            try:
                self._lease.handle_refusal(refusal)
            except MutationError:
                log.warning("%s: %d log lines were not accepted: %s", self._claimed.label, len(batch), refusal)
