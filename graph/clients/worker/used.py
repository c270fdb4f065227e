"""The artifacts that a worker reports as used: those that the command noted, and hashes of inputs that nobody knew."""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import BinaryIO

from graph.clients.worker.client import Json
from graph.clients.worker.inputs import FetchedInput
from graph.clients.worker.open_beneath import FileRefused, Names, names_beneath, open_beneath
from graph.clients.worker.transfer import sha256_of_open
from graph.clients.worker.used_file import MAX_USED_BYTES, MAX_USED_LINES, UsedLine, read_lines
from graph.clients.worker.workspace import Workspace

MAX_USED = 1_000
"""Artifacts that the server accepts in one report."""
MAX_NOTED = 20
"""Lines that are not recorded and that the log names."""
NOT_IN_A_REPORT = re.compile(r"[\x00-\x1f\x7f]|[\ud800-\udfff]")
FIELDS = {"version": "version", "sha256": "sha256", "type": "mediaType"}
"""Fields of a report by the details of a line."""

Note = Callable[[str], Awaitable[None]]


async def note_not_recorded(note: Note, reasons: list[str]) -> None:
    """Write into the activity's log what is not recorded as used, and why: each a sentence without its full stop."""
    for reason in reasons[:MAX_NOTED]:
        await note(f"Not recorded as used: {reason.removesuffix('.')}.")
    if len(reasons) > MAX_NOTED:
        await note(f"Not recorded as used: {len(reasons) - MAX_NOTED:,} more.")


class UsedReport:
    """The report of what one attempt used. `fetched` are the inputs that the worker fetched for it."""

    def __init__(self, workspace: Workspace, fetched: Iterable[FetchedInput], note: Note) -> None:
        self._folder, self._used_file, self._note = workspace.folder, workspace.used_file, note
        self._fetched = {one.path.relative_to(self._folder).parts: one for one in fetched}
        self._hashes: dict[Names, tuple[str, int]] = {}

    async def entries(self) -> list[Json] | None:
        """The artifacts to report, None when there is nothing to say.

        Empty when the command says, by blank lines alone, that it read nothing.
        """
        lines, is_blank = await self._lines()
        # First, so that the limit does not cut them off.
        found = [{"id": one.id, "sha256": one.sha256} for one in self._fetched.values() if not one.was_known]
        refused: list[str] = []
        for line in lines:
            try:
                found.append(await self._entry(line))
            except FileRefused as why:
                refused.append(f"line {line.number} of PROVENANCE_USED, {line.shown!r}, {why}")
        entries = list({tuple(entry.items()): entry for entry in found}.values())
        if len(entries) > MAX_USED:
            refused.append(f"{len(entries) - MAX_USED:,} artifacts beyond the first {MAX_USED:,}")
        await note_not_recorded(self._note, refused)
        return entries[:MAX_USED] if entries or is_blank else None

    async def _lines(self) -> tuple[list[UsedLine], bool]:
        """The command's lines, and whether it wrote blank ones alone."""
        try:
            lines, are_more, is_blank = await asyncio.to_thread(self._read)
        except FileRefused as why:
            await note_not_recorded(self._note, [f"PROVENANCE_USED {why}"])
            return [], False
        if are_more:
            limits = f"{MAX_USED_LINES:,} lines and {MAX_USED_BYTES:,} bytes"
            await note_not_recorded(self._note, [f"what PROVENANCE_USED holds beyond {limits}"])
        return lines, is_blank

    def _read(self) -> tuple[list[UsedLine], bool, bool]:
        file, _ = open_beneath(self._folder, self._used_file.relative_to(self._folder).parts)
        try:
            with file:
                return read_lines(file)
        except OSError as error:
            raise FileRefused(f"cannot be read: {error.strerror}") from error

    async def _entry(self, line: UsedLine) -> Json:
        """The artifact that a line names. Raises FileRefused."""
        if not (line.is_url or line.is_id):
            return await self._input(line.target)
        entry: Json = {"id" if line.is_id else "url": line.target}
        entry |= {FIELDS[name]: value for name, value in line.details.items() if name in FIELDS}
        if any(NOT_IN_A_REPORT.search(value) for value in entry.values()):
            raise FileRefused("holds control characters, or is not UTF-8")
        return entry | await self._facts(line) if "file" in line.details else entry

    async def _input(self, path: str) -> Json:
        """The fetched input at a path. Raises FileRefused."""
        names = names_beneath(self._folder, path)
        if names not in self._fetched:
            file, names = await asyncio.to_thread(open_beneath, self._folder, names)
            file.close()
        if names not in self._fetched:
            raise FileRefused("is not an input: write `URL file=PATH` if it comes from elsewhere")
        return {"id": self._fetched[names].id}

    async def _facts(self, line: UsedLine) -> Json:
        """Size and hash of the file with the bytes of what a line names. Raises FileRefused."""
        path, given = line.details["file"], line.details.get("sha256", "").lower()
        try:
            sha256, size = await self._hash(path)
        except FileRefused as why:
            raise FileRefused(f"has a file {path!r} that {why}") from why
        if given not in ("", sha256):
            raise FileRefused(f"has a file {path!r} with the SHA-256 {sha256}, not {given}")
        return {"sha256": sha256} | ({"sizeBytes": str(size)} if line.is_url else {})

    async def _hash(self, path: str) -> tuple[str, int]:
        """SHA-256 and size of the file at a path; each file is read once. Raises FileRefused."""
        file, names = await asyncio.to_thread(open_beneath, self._folder, names_beneath(self._folder, path))
        with file:
            if names not in self._hashes:
                self._hashes[names] = await _stable_hash(file)
        return self._hashes[names]


async def _stable_hash(file: BinaryIO) -> tuple[str, int]:
    """SHA-256 and size of an open file. Raises FileRefused when it cannot be read, or changes meanwhile."""
    before = os.fstat(file.fileno())
    try:
        sha256, size = await sha256_of_open(file)
    except OSError as error:
        raise FileRefused(f"cannot be read: {error.strerror}") from error
    if (size, os.fstat(file.fileno()).st_mtime_ns) != (before.st_size, before.st_mtime_ns):
        raise FileRefused("was changed while it was read")
    return sha256, size
