"""The rows of all pages of a level, as text."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from documents.mongo import raw
from graph.engine.plan.nested_reads import PlanRun, read_nested_fields, render_rows
from graph.engine.plan.occurrences import Occurrences, distinct_rows, slice_times, total_size
from graph.engine.plan.row_codegen import Row, RowTemplate


@dataclass
class PageRows(ABC):
    """The rows of all pages of a level, concatenated, each of which is rendered by every template."""

    run: PlanRun
    templates: list[RowTemplate]
    times: Occurrences
    """How often each row occurs in the answer."""
    raw_bson: bool

    @abstractmethod
    async def read(self, rows: list[Row]) -> None:
        """Read the nested fields of all rows."""

    @abstractmethod
    def texts(self, rows: list[Row], place: slice) -> list[tuple[list[bytes], int]]:
        """For each template the texts of a slice of the rows, and their bytes, counted as often as they occur."""

    @abstractmethod
    def nested_texts(self) -> list[list[bytes]]:
        """Nested text that will be copied into the pages: for each nested field, by row."""

    @abstractmethod
    def release(self, place: slice) -> None:
        """Release rows that have been written and are not needed any more."""


@dataclass
class OwnRows(PageRows):
    """Rows that occur on one page each."""

    def __post_init__(self) -> None:
        self.columns: list[list[list[Any]]] = [[] for _ in self.templates]
        """For each template the nested columns of all rows of the level."""

    async def read(self, rows: list[Row]) -> None:
        self.columns = [await read_nested_fields(self.run, template, rows, self.times) for template in self.templates]

    def texts(self, rows: list[Row], place: slice) -> list[tuple[list[bytes], int]]:
        times, budget = slice_times(self.times, place), self.run.loader.budget
        return [
            template.texts(rows, [column[place] for column in columns], times, budget, raw_bson=self.raw_bson)
            for template, columns in zip(self.templates, self.columns, strict=True)
        ]

    def objects(self, rows: list[Any]) -> list[list[Any]]:
        """For each template all rows as objects, without copying their nested values."""
        dictionaries = raw.decode_rows(rows) if self.raw_bson else rows
        return [
            template.build(dictionaries, *columns)
            for template, columns in zip(self.templates, self.columns, strict=True)
        ]

    def nested_texts(self) -> list[list[bytes]]:
        return [
            column
            for template, columns in zip(self.templates, self.columns, strict=True)
            for nested_field, column in zip(template.nested_fields, columns, strict=True)
            if nested_field.is_text
        ]

    def release(self, place: slice) -> None:
        for columns in self.columns:
            for column in columns:
                column[place] = [None] * (place.stop - place.start)


@dataclass
class SharedRows(PageRows):
    """Rows that may occur on many pages: each is serialised once."""

    def __post_init__(self) -> None:
        self.ids: list[str] = []
        self.texts_by_id: list[dict[str, bytes]] = []
        """For each template the texts of rows, by id."""

    async def read(self, rows: list[Row]) -> None:
        self.ids = [row["_id"] for row in rows]
        by_id, times = distinct_rows(self.ids, rows, self.times)
        for template in self.templates:
            texts = await render_rows(self.run, template, list(by_id.values()), times, raw_bson=self.raw_bson)
            self.texts_by_id.append(dict(zip(by_id, texts, strict=True)))

    def texts(self, rows: list[Row], place: slice) -> list[tuple[list[bytes], int]]:
        lists = [[by_id[id] for id in self.ids[place]] for by_id in self.texts_by_id]
        return [(texts, total_size(texts, slice_times(self.times, place))) for texts in lists]

    def nested_texts(self) -> list[list[bytes]]:
        return [[by_id[id] for id in self.ids] for by_id in self.texts_by_id]

    def release(self, place: slice) -> None:
        """Releases nothing: later pages may need any of the rows."""
