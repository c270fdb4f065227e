"""Pages beside rows: a connection for each row of a level."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

from documents import raw
from graph.declared import Connected
from graph.plan import text
from graph.plan.columns import Arguments, Column, Run, beside, together
from graph.plan.connections import CompiledConnection
from graph.plan.shape import Row, Shape
from resolvers import fetch, turns
from resolvers.links import Every, Gathered, Many, Paged
from resolvers.page import Page, Window

TEXT_OF_ROW = 4_000
"""Bytes of text that take about as long to be copied as a row takes to be written."""

Columns = list[list[list[Any]]]
"""For each shape of a page's rows, the columns beside all rows of the level."""


@dataclass
class Pages(Column):
    """A page of rows for each row."""

    declared: Connected
    arguments: Arguments
    shown: CompiledConnection
    constant: Window | None = None

    async def read(self, run: Run, rows: list[Row]) -> list[Any]:
        asked, link = self.constant or self.declared.window(self.arguments(run)), self.link(run)
        if len(rows) > 1 and isinstance(link, Many) and not link.alone and self._can_stream(asked):
            try:
                return await self._streamed(link, asked, rows, run)
            except fetch.Crowded:
                # There are too many to be read without a limit for each parent.
                pass
        (pages, columns), counts = await together(
            self._pages(link, asked, rows, run), self._counts(link, asked, rows, run)
        )
        return await self._connections(run, pages, counts, columns)

    @cached_property
    def as_sent(self) -> bool:
        """Whether its rows are written as the database sent them."""
        return all(shape.writer is not None for shape in self.shown.shapes)

    @cached_property
    def has_levels(self) -> bool:
        """Whether pages are below its pages."""
        return any(isinstance(column, Pages) for shape in self.shown.shapes for column in shape.columns)

    def link(self, run: Run) -> Paged:
        """The link that the arguments ask for, which for most fields is always the same."""
        return self.declared.link_for(self.arguments(run)) if self.declared.unless else self.declared.link

    def _can_stream(self, asked: Window) -> bool:
        """Whether pages can be shown while later ones are still being read: nothing is beside or below their rows."""
        shapes = self.shown.shapes
        return len(shapes) == 1 and not shapes[0].columns and not self.shown.counted and not asked.backwards

    async def _streamed(self, link: Many, asked: Window, rows: list[Row], run: Run) -> list[Any]:
        """Pages shown batch by batch, so that of a big level no two batches of rows are held at once."""
        (shape,) = self.shown.shapes
        found: dict[str, Any] = {}
        spent = 0
        try:
            async for families in fetch.families(
                link, asked, rows, shape.fields, run.reader.viewer, as_sent=self.as_sent
            ):
                pages = asked.pages(family for _, family in families)
                spent += (read := sum(len(page.rows) for page in pages))
                run.reader.budget.spend(read)
                connections = await self._connections(run, [*pages], [None] * len(pages), [[]])
                found.update(zip((parent for parent, _ in families), connections, strict=True))
        except fetch.Crowded:
            # They will be read, and counted, once more.
            run.reader.budget.spent -= spent
            raise
        empty = self.shown.build(asked.page([]), None, [])
        return [found.get(row.get(link.of, ""), empty) for row in rows]

    async def _pages(self, link: Paged, asked: Window, rows: list[Row], run: Run) -> tuple[list[Page | None], Columns]:
        """A page for each row, and what stands beside its rows."""
        if not self.shown.paged:
            return [None] * len(rows), []
        viewer = run.reader.viewer
        fields = frozenset({"_id"}.union(*(shape.fields for shape in self.shown.shapes)))
        match link:
            case Every():
                pages = [await fetch.every(link.document, asked, fields, viewer, as_sent=self.as_sent)]
            case Many():
                pages = await fetch.pages(link, asked, rows, fields, viewer, as_sent=self.as_sent)
            case Gathered():
                pages = await fetch.gathered(link, asked, rows, fields, viewer, as_sent=self.as_sent)
        flat: list[Row] = []
        async for some in turns.of(pages):
            flat += [row for page in some for row in page.rows]
        run.reader.budget.spend(len(flat))
        return list(pages), [await beside(run, shape, flat) for shape in self.shown.shapes]

    async def _counts(self, link: Paged, asked: Window, rows: list[Row], run: Run) -> list[int | None]:
        """How many rows there are for each row, where that is asked for."""
        viewer = run.reader.viewer
        if not self.shown.counted:
            return [None] * len(rows)
        match link:
            case Every():
                return [await fetch.count_every(link.document, asked.filter, viewer)]
            case Many():
                return await fetch.counts(link, asked.filter, rows, viewer)
            case Gathered():
                return await fetch.counts_gathered(link, asked.filter, rows, viewer)

    async def _connections(
        self, run: Run, pages: list[Page | None], counts: list[int | None], columns: Columns
    ) -> list[Any]:
        """What each page is shown as, in turns; pages and columns are let go on the way."""
        made: list[Any] = []
        big = run.reader.budget.spent > text.BIG
        # A big page that stands alone is taken apart when the answer is written.
        write = self.as_sent and not (big and len(pages) == 1)
        start = 0
        for turn in _turns(_weights(pages, self._texts(columns) if big else [])):
            some, rows = pages[turn], [row for page in pages[turn] if page is not None for row in page.rows]
            part = slice(start, start := start + len(rows))
            lists = [
                self._rows(shape, rows, [column[part] for column in beside], write)
                for shape, beside in zip(self.shown.shapes, columns, strict=True)
            ]
            show = self.shown.write if write else self.shown.build
            connections = list(map(show, some, counts[turn], *_divided(some, lists)))
            if big and len(pages) > 1:
                if not write:
                    await text.as_text(connections)
                _let_go(pages, turn, columns, part)
            made += connections
            if turn.stop < len(pages):
                await turns.give_way()
        return made

    def _rows(self, shape: Shape, rows: list[Any], beside: list[list[Any]], write: bool) -> list[Any]:
        """What some rows are shown as: text, or what the answer is written from."""
        if write:
            return shape.texts(rows, *beside)
        return shape.build(raw.dictionaries(rows) if self.as_sent else rows, *beside)

    def _texts(self, columns: Columns) -> list[list[Any]]:
        """The columns that hold pages, which in a big answer are text."""
        beside = zip(self.shown.shapes, columns, strict=True)
        return [
            column
            for shape, of_shape in beside
            for declared, column in zip(shape.columns, of_shape, strict=True)
            if isinstance(declared, Pages)
        ]


def _divided(pages: list[Page | None], lists: list[list[Any]]) -> Iterator[list[list[Any]]]:
    """What shows the rows of each page, of lists that show the rows of all pages one after the other."""
    ends = accumulate((len(page.rows) if page is not None else 0 for page in pages), initial=0)
    bounds = list(pairwise(ends))
    return ([shown[start:end] for start, end in bounds] for shown in lists)


def _turns(weights: list[int]) -> Iterator[slice]:
    """Slices of pages with about as much work as may be done at once."""
    start = weight = 0
    for end, one in enumerate(weights, 1):
        weight += one
        if weight >= turns.ROWS or end == len(weights):
            yield slice(start, end)
            start, weight = end, 0


def _weights(pages: list[Page | None], texts: list[list[Any]]) -> list[int]:
    """How much work each page is, in rows: those it has, and the text beside these."""
    rows = [len(page.rows) if page is not None else 0 for page in pages]
    if not texts:
        return [1 + count for count in rows]
    ends = pairwise(accumulate(rows, initial=0))
    copied = (sum(sum(map(len, column[start:end])) for column in texts) for start, end in ends)
    return [1 + count + size // TEXT_OF_ROW for count, size in zip(rows, copied, strict=True)]


def _let_go(pages: list[Page | None], turn: slice, columns: Columns, part: slice) -> None:
    """Keep nothing of what has been written."""
    pages[turn] = [None] * (turn.stop - turn.start)
    for of_shape in columns:
        for column in of_shape:
            column[part] = [None] * (part.stop - part.start)
