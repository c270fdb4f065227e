"""A way to the database that fails when it is told to: a proxy that tells commands from replies.

What fails before it is executed, the server is told to fail by its own `failCommand`. What is executed and never
answered cannot be had from it, so there the proxy lets the command through and cuts the connection in the place of the
reply. The messages are OP_MSG: https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from documents.mongo.database import Client

HEADER = struct.Struct("<iiii")
OP_MSG = 2013
NAME_AT = 16 + 4 + 1 + 4 + 1
"""The offset of a command's name: after the header, flags, kind of section, length of the document and a type."""
WRITES = frozenset({"insert", "update", "delete", "findAndModify", "commitTransaction"})
READS = frozenset({"find", "aggregate", "distinct", "count", "getMore"})


@dataclass(frozen=True)
class Fault:
    """A fault of a command: the server refuses it (`refused`), or executes it and its reply is `lost`.

    `refused` is what failCommand is told. With `lasting` nothing comes through any more until `mend`.
    """

    name: str
    refused: dict[str, Any] | None = None
    lost: bool = False
    lasting: bool = False


class Heard(NamedTuple):
    """A command that came by: its name, its collection where there is one, whether a transaction holds it."""

    command: str
    collection: str
    in_transaction: bool

    @property
    def writes(self) -> bool:
        return self.command in WRITES


@dataclass
class Unreliable:
    """A proxy before a server; `admin` goes past it, and may set failpoints."""

    port: int
    admin: Client
    heard: list[Heard] = field(default_factory=list)
    written: set[str] = field(default_factory=set)
    """The collections to which a write was sent, until whoever restores them clears this."""
    happened: int = 0
    _fault: Fault | None = None
    _at: int = 0
    _among: frozenset[str] = WRITES
    _cut: bool = False
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    def listen(self) -> list[Heard]:
        """The commands from now on, as they come by."""
        self.heard = []
        return self.heard

    def fail(self, number: int, fault: Fault, among: frozenset[str] = WRITES) -> None:
        """Let the command with this number, counted from 0 among those with such names, meet a fault."""
        self.listen()
        self._fault, self._at, self._among, self.happened = fault, number, among, 0

    async def mend(self) -> int:
        """Let everything through again; how often something failed."""
        lasting = self._cut
        self._fault, self._cut = None, False
        if lasting:
            # Else the server would hold for a minute what a client that it lost was about to change.
            await self.admin.admin.command("killAllSessions", [])
        await self.admin.admin.command("configureFailPoint", "failCommand", mode="off")
        return self.happened

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """The port to connect to."""
        server = await asyncio.start_server(self._serve_connection, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for writer in list(self._open):
                writer.close()
            await server.wait_closed()

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.close()
            return
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.port)
        both = {writer, there_writer}
        self._open |= both
        lost: set[int] = set()
        ways = (self._commands(reader, there_writer, lost), self._replies(there_reader, writer, lost))
        tasks = [asyncio.create_task(way) for way in ways]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            for one in both:
                one.close()
            self._open -= both
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _commands(self, reader: asyncio.StreamReader, there: asyncio.StreamWriter, lost: set[int]) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while not self._cut:
                message = await _message(reader)
                fault = self._due(message)
                if fault and fault.refused is not None:
                    await self._refuse(message, fault.refused)
                if fault and fault.lasting and not fault.lost:
                    self._cut_off()
                    return
                if fault and fault.lost:
                    lost.add(HEADER.unpack_from(message)[1])
                there.write(message)
                await there.drain()

    async def _replies(self, reader: asyncio.StreamReader, here: asyncio.StreamWriter, lost: set[int]) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while not self._cut:
                message = await _message(reader)
                if HEADER.unpack_from(message)[2] in lost:
                    self.happened += 1
                    if self._fault and self._fault.lasting:
                        self._cut_off()
                    return
                here.write(message)
                await here.drain()

    def _due(self, message: bytes) -> Fault | None:
        """The fault that this command is to meet."""
        heard = _heard(message)
        if heard is None:
            return None
        self.heard.append(heard)
        if heard.writes:
            self.written.add(heard.collection)
        if heard.command not in self._among:
            return None
        number = sum(one.command in self._among for one in self.heard) - 1
        return self._fault if number == self._at else None

    async def _refuse(self, message: bytes, how: dict[str, Any]) -> None:
        heard = _heard(message)
        assert heard is not None
        data = {"failCommands": [heard.command], **how}
        await self.admin.admin.command("configureFailPoint", "failCommand", mode={"times": 1}, data=data)
        self.happened += 1

    def _cut_off(self) -> None:
        """Close all connections, and let nothing through any more."""
        self._cut = True
        self.happened += 1
        for writer in list(self._open):
            writer.close()


async def _message(reader: asyncio.StreamReader) -> bytes:
    length = await reader.readexactly(4)
    return length + await reader.readexactly(int.from_bytes(length, "little") - 4)


def _heard(message: bytes) -> Heard | None:
    """The command in a message; None for what only keeps a connection."""
    if HEADER.unpack_from(message)[3] != OP_MSG:
        return None
    end = message.index(b"\0", NAME_AT)
    name = message[NAME_AT:end].decode()
    if name not in WRITES | READS:
        return None
    named = message[NAME_AT - 1] == 2
    size = int.from_bytes(message[end + 1 : end + 5], "little")
    collection = message[end + 5 : end + 4 + size].decode() if named else ""
    return Heard(name, collection, b"autocommit\0" in message)
