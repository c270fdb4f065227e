"""Importing logs from an ODTP database: pages of lines in a collection, and the entries that a step may hold itself."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import documents
from documents.activities.log_entry import LogLevel
from resolvers.imports.odtp.bson_values import time_of
from resolvers.imports.odtp.collection_import import BATCH, Import, insert_missing, stored
from resolvers.imports.odtp.source_row import SourceRow
from resolvers.imports.summary import counted

LOGS = "logs"
LEVELS = {level.value: level for level in LogLevel} | {"WARN": LogLevel.WARNING, "FATAL": LogLevel.CRITICAL}
ENTRY_FIELDS = ["logs", "created_at", "createdAt", "timestamp"]
STEPS_AT_ONCE = 50
PAGES_AT_ONCE = 100


async def import_logs(at: Import) -> None:
    """Import the lines of all steps, numbered from 1 within their step: first its own entries, then its pages.

    An id is made of the page's id and the line's position in it, so that a page is imported once, and lines that an
    interrupted import left out are added by the next one.
    """
    lines = Lines(at)
    await at.expect(LOGS)
    async for steps in at.batches("steps", {"logs.0": {"$exists": True}}, ENTRY_FIELDS, STEPS_AT_ONCE):
        here = await stored(documents.Step, [f"step_{row.hex}" for row in steps if row.hex], "_id")
        for row in steps:
            # A refused step has been reported already, including its entries.
            if f"step_{row.hex}" in here:
                await lines.add(f"step_{row.hex}", row, _entries(row))
    async for pages in at.batches(LOGS, size=PAGES_AT_ONCE):
        ids = [id for page in pages if (id := page.reference("step", "stepRef"))]
        here = await stored(documents.Step, ids, "_id")
        for page in pages:
            step = page.reference("step", "stepRef")
            if step in here and step and page.hex:
                await lines.add(step, page, _page(page))
            else:
                lines.refuse(page, step)
        at.advance(LOGS, len(pages))
    await lines.finish()


Line = tuple[datetime, LogLevel, str]


def _page(page: SourceRow) -> Iterator[Line]:
    """The lines of a page, all with its time."""
    at = page.time("timestamp") or page.made_at()
    level = _level(page.values.get("type"))
    yield from ((at, level, line) for line in _split(page.values.get("logstring")))


def _entries(step: SourceRow) -> Iterator[Line]:
    """The lines of the entries that a step holds itself."""
    for entry in step.items("logs"):
        if isinstance(entry, str):
            entry = {"logstring": entry}
        if isinstance(entry, dict):
            at = time_of(entry.get("timestamp")) or step.made_at("timestamp")
            level = _level(entry.get("type"))
            yield from ((at, level, line) for line in _split(entry.get("logstring")))


def _level(value: object) -> LogLevel:
    return LEVELS.get(str(value).strip().upper(), LogLevel.INFO)


def _split(text: object) -> list[str]:
    """The lines of a page; a final line break begins no further line."""
    if not isinstance(text, str) or not text:
        return []
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


class Numbered(NamedTuple):
    """A line with its id, its step and its number there."""

    id: str
    step: str
    sequence: int
    line: Line

    def row(self) -> dict[str, object]:
        """The line as a LogEntry is stored."""
        # A plain dictionary, since there may be millions: a model for each takes four times as long.
        timestamp, level, message = self.line
        return {
            "_id": self.id,
            "activityRef": self.step,
            "attempt": 1,
            "sequence": self.sequence,
            "timestamp": timestamp,
            "type": level.value,
            "logstring": message,
        }


class Lines:
    """Numbers lines, and writes them a thousand at a time."""

    def __init__(self, at: Import) -> None:
        self._at = at
        self._last: Counter[str] = Counter()
        """The number of the last line of each step."""
        self._waiting: list[Numbered] = []
        self._refused: Counter[str] = Counter()

    async def add(self, step: str, row: SourceRow, lines: Iterator[Line]) -> None:
        """Add the lines of a row."""
        for place, line in enumerate(lines):
            self._last[step] += 1
            self._waiting.append(Numbered(f"log_{row.hex}_{place}", step, self._last[step], line))
            if len(self._waiting) == BATCH:
                await self._write()

    def refuse(self, page: SourceRow, step: str | None) -> None:
        """Count a page of a missing step; there may be many, so they are reported by step."""
        self._refused[step.partition("_")[2] if step and page.hex else ""] += 1

    async def finish(self) -> None:
        """Write the remaining lines, and report the refused ones."""
        await self._write()
        for hex, pages in self._refused.items():
            reason = f"of the step {hex}, which is not here" if hex else "without an id, or of no step"
            self._at.summary.refuse(LOGS, hex, f"{counted(pages, 'page')} {reason}.", pages)

    async def _write(self) -> None:
        here = await stored(documents.LogEntry, [one.id for one in self._waiting], "_id")
        fresh = [one for one in self._waiting if one.id not in here]
        failed = await insert_missing(documents.LogEntry, [one.row() for one in fresh])
        summary = self._at.summary
        summary.already[LOGS] += len(here) + sum(taken is None for taken in failed.values())
        summary.taken[LOGS] += len(fresh) - len(failed)
        for place, taken in failed.items():
            if taken is not None:
                reason = f"Another line has the number {fresh[place].sequence} of {fresh[place].step}."
                summary.refuse(LOGS, fresh[place].id.removeprefix("log_"), reason)
        self._waiting.clear()
