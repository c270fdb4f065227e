"""Importing logs from an ODTP database: pages of lines in a collection, and the entries that a step may hold itself."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import documents
from documents.activities.log_entry import LogLevel
from resolvers.imports.odtp.bson_values import time_of
from resolvers.imports.odtp.collection_import import BATCH_SIZE, ImportRun, insert_missing, stored_rows
from resolvers.imports.odtp.source_row import SourceRow
from resolvers.imports.summary import quantity

LOGS = "logs"
LEVELS = {level.value: level for level in LogLevel} | {"WARN": LogLevel.WARNING, "FATAL": LogLevel.CRITICAL}
ENTRY_FIELDS = ["logs", "created_at", "createdAt", "timestamp"]
STEP_BATCH_SIZE = 50
PAGE_BATCH_SIZE = 100


async def import_logs(run: ImportRun) -> None:
    """Import the lines of all steps, numbered from 1 within their step: first its embedded entries, then its pages.

    A line's id consists of its page's id and its position there. So a page is imported only once, and the next import
    adds the lines that an interrupted one has not written.
    """
    writer = LineWriter(run)
    await run.start_progress(LOGS)
    async for steps in run.batches("steps", {"logs.0": {"$exists": True}}, ENTRY_FIELDS, STEP_BATCH_SIZE):
        here = await stored_rows(documents.Step, [f"step_{row.hex}" for row in steps if row.hex], "_id")
        for row in steps:
            # A refused step has been reported already, and its entries with it.
            if f"step_{row.hex}" in here:
                await writer.add(f"step_{row.hex}", row, _entry_lines(row))
    async for pages in run.batches(LOGS, size=PAGE_BATCH_SIZE):
        ids = [id for page in pages if (id := page.reference("step", "stepRef"))]
        here = await stored_rows(documents.Step, ids, "_id")
        for page in pages:
            step = page.reference("step", "stepRef")
            if step in here and step and page.hex:
                await writer.add(step, page, _page_lines(page))
            else:
                writer.refuse(page, step)
        run.advance(LOGS, len(pages))
    await writer.finish()


Line = tuple[datetime, LogLevel, str]


def _page_lines(page: SourceRow) -> Iterator[Line]:
    """The lines of a page, each with the page's time."""
    timestamp = page.time("timestamp") or page.creation_time()
    level = _level(page.values.get("type"))
    yield from ((timestamp, level, line) for line in _split_lines(page.values.get("logstring")))


def _entry_lines(step: SourceRow) -> Iterator[Line]:
    """The lines of the log entries that are embedded in a step."""
    for entry in step.items("logs"):
        if isinstance(entry, str):
            entry = {"logstring": entry}
        if isinstance(entry, dict):
            timestamp = time_of(entry.get("timestamp")) or step.creation_time("timestamp")
            level = _level(entry.get("type"))
            yield from ((timestamp, level, line) for line in _split_lines(entry.get("logstring")))


def _level(value: object) -> LogLevel:
    return LEVELS.get(str(value).strip().upper(), LogLevel.INFO)


def _split_lines(text: object) -> list[str]:
    """The lines of a text; a final line break does not start another line."""
    if not isinstance(text, str) or not text:
        return []
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


class NumberedLine(NamedTuple):
    """A line with its id, its step and its number within the step."""

    id: str
    step: str
    sequence: int
    line: Line

    def row(self) -> dict[str, object]:
        """The stored form of the line's LogEntry."""
        # A plain dictionary, because there may be millions of lines, and a model of each would take four times as long.
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


class LineWriter:
    """Numbers the lines of steps, and writes them in batches."""

    def __init__(self, run: ImportRun) -> None:
        self._run = run
        self._last: Counter[str] = Counter()
        """The number of the last line of each step."""
        self._pending: list[NumberedLine] = []
        self._refused_pages: Counter[str] = Counter()

    async def add(self, step: str, row: SourceRow, lines: Iterator[Line]) -> None:
        """Add the lines of a row."""
        for index, line in enumerate(lines):
            self._last[step] += 1
            self._pending.append(NumberedLine(f"log_{row.hex}_{index}", step, self._last[step], line))
            if len(self._pending) == BATCH_SIZE:
                await self._write()

    def refuse(self, page: SourceRow, step: str | None) -> None:
        """Count a page of a missing step. Refused pages are reported by step, because there may be many."""
        self._refused_pages[step.partition("_")[2] if step and page.hex else ""] += 1

    async def finish(self) -> None:
        """Write the remaining lines, and report the refused ones."""
        await self._write()
        for hex, pages in self._refused_pages.items():
            reason = f"of the step {hex}, which is not here" if hex else "without an id, or of no step"
            self._run.summary.refuse(LOGS, hex, f"{quantity(pages, 'page')} {reason}.", pages)

    async def _write(self) -> None:
        existing = await stored_rows(documents.LogEntry, [line.id for line in self._pending], "_id")
        new = [line for line in self._pending if line.id not in existing]
        failed = await insert_missing(documents.LogEntry, [line.row() for line in new])
        summary = self._run.summary
        summary.already[LOGS] += len(existing) + sum(fields is None for fields in failed.values())
        summary.taken[LOGS] += len(new) - len(failed)
        for index, fields in failed.items():
            if fields is not None:
                reason = f"Another line has the number {new[index].sequence} of {new[index].step}."
                summary.refuse(LOGS, new[index].id.removeprefix("log_"), reason)
        self._pending.clear()
