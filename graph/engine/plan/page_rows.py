"""The rows of all pages of a level, as text."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from documents.mongo import raw
from graph.engine.plan.nested_reads import PlanRun, read_nested_fields, show
from graph.engine.plan.occurrences import Times, distinct, part, size_of
from graph.engine.plan.row_codegen import Row, RowTemplate


@dataclass
class PageRows(ABC):
    """Rows of pages, concatenated, each of which is shown by every shape."""

    run: PlanRun
    shapes: list[RowTemplate]
    times: Times
    """How often each row occurs in the answer."""
    as_sent: bool

    @abstractmethod
    async def read(self, rows: list[Row]) -> None:
        """Read the nested fields of all rows."""

    @abstractmethod
    def texts(self, rows: list[Row], place: slice) -> list[tuple[list[bytes], int]]:
        """For each shape the texts of a slice of the rows, and their bytes, as often as they occur."""

    @abstractmethod
    def copied(self) -> list[list[bytes]]:
        """Nested text that will be copied into the pages, by row."""

    @abstractmethod
    def let_go(self, place: slice) -> None:
        """Release rows that have been written and are not needed any more."""


@dataclass
class OwnRows(PageRows):
    """Rows that occur on one page each."""

    def __post_init__(self) -> None:
        self.columns: list[list[list[Any]]] = [[] for _ in self.shapes]
        """For each shape the nested columns of all rows of the level."""

    async def read(self, rows: list[Row]) -> None:
        self.columns = [await read_nested_fields(self.run, shape, rows, self.times) for shape in self.shapes]

    def texts(self, rows: list[Row], place: slice) -> list[tuple[list[bytes], int]]:
        times, budget = part(self.times, place), self.run.reader.budget
        return [
            shape.texts(rows, [column[place] for column in columns], times, budget, as_sent=self.as_sent)
            for shape, columns in zip(self.shapes, self.columns, strict=True)
        ]

    def objects(self, rows: list[Any]) -> list[list[Any]]:
        """For each shape all rows as objects, without copying their nested values."""
        found = raw.decode_rows(rows) if self.as_sent else rows
        return [shape.build(found, *columns) for shape, columns in zip(self.shapes, self.columns, strict=True)]

    def copied(self) -> list[list[bytes]]:
        beside = zip(self.shapes, self.columns, strict=True)
        return [
            column
            for shape, columns in beside
            for field_source, column in zip(shape.columns, columns, strict=True)
            if field_source.is_text
        ]

    def let_go(self, place: slice) -> None:
        for columns in self.columns:
            for column in columns:
                column[place] = [None] * (place.stop - place.start)


@dataclass
class SharedRows(PageRows):
    """Rows that may occur on many pages: each is serialised once."""

    def __post_init__(self) -> None:
        self.ids: list[str] = []
        self.shown: list[dict[str, bytes]] = []

    async def read(self, rows: list[Row]) -> None:
        found, times = distinct(rows, self.times)
        self.ids = [row["_id"] for row in rows]
        for shape in self.shapes:
            texts = await show(self.run, shape, list(found.values()), times, as_sent=self.as_sent)
            self.shown.append(dict(zip(found, texts, strict=True)))

    def texts(self, rows: list[Row], place: slice) -> list[tuple[list[bytes], int]]:
        lists = [[shown[id] for id in self.ids[place]] for shown in self.shown]
        return [(texts, size_of(texts, part(self.times, place))) for texts in lists]

    def copied(self) -> list[list[bytes]]:
        return [[shown[id] for id in self.ids] for shown in self.shown]

    def let_go(self, place: slice) -> None:
        """Releases nothing: later pages may need any of the rows."""
