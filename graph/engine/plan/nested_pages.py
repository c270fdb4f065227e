"""Nested pages: a connection for each row of a level."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from operator import mul
from typing import Any

from graph.core.fields import ConnectionField
from graph.engine.plan import json_output
from graph.engine.plan.connection_codegen import CompiledConnection
from graph.engine.plan.nested_reads import Arguments, NestedField, PlanRun, gather_all
from graph.engine.plan.occurrences import Times, part, repeated, size_of, total
from graph.engine.plan.page_rows import OwnRows, PageRows, SharedRows
from graph.engine.plan.row_codegen import ROOT, Row
from resolvers.concurrency import event_loop
from resolvers.reads.children import TooManyChildren, stream_children
from resolvers.reads.counts import count_all, count_by_ids, count_children
from resolvers.reads.page import Page, PageRequest
from resolvers.reads.pages import page_of_all, pages_by_ids, pages_of_children
from resolvers.reads.relations import AllDocuments, Children, Paged, PagedByIds

TEXT_OF_ROW = 4_000
"""Bytes of text that take about as long to copy as a row takes to serialise."""


@dataclass
class NestedPages(NestedField):
    """A page of rows for each row."""

    field_source: ConnectionField
    arguments: Arguments
    shown: CompiledConnection
    constant: PageRequest | None = None
    is_text = True

    async def read(self, run: PlanRun, rows: list[Row], times: Times) -> list[Any]:
        request, link = self.constant or self.field_source.page_request(self.arguments(run)), self.link(run)
        if len(rows) > 1 and isinstance(link, Children) and not link.single_parent and self._can_stream(request):
            try:
                return await self._streamed(link, request, rows, times, run)
            except TooManyChildren:
                # They are too many to be read without a limit for each parent.
                pass
        reading = self._pages(link, request, rows, times, run)
        if self.shown.counted:
            (pages, level), counts = await gather_all(reading, self._counts(link, request, rows, run))
        else:
            (pages, level), counts = await reading, [None] * len(rows)
        # A big page that is the only one is split up when the answer is written.
        if rows[0] is ROOT and run.reader.budget.objects > json_output.BIG and isinstance(level, OwnRows):
            return self._apart(pages, counts, level)
        return await self._connections(run, pages, counts, level, times)

    @cached_property
    def as_sent(self) -> bool:
        """Whether its rows are written straight from the database's BSON."""
        return all(shape.writer is not None for shape in self.shown.shapes)

    @cached_property
    def fields(self) -> frozenset[str]:
        """The stored paths that its rows need."""
        return frozenset({"_id"}.union(*(shape.fields for shape in self.shown.shapes)))

    @cached_property
    def has_levels(self) -> bool:
        """Whether its pages hold nested pages."""
        return any(isinstance(column, NestedPages) for shape in self.shown.shapes for column in shape.columns)

    def link(self, run: PlanRun) -> Paged:
        """The link that the arguments select, which is constant for most fields."""
        return (
            self.field_source.link_for(self.arguments(run))
            if self.field_source.link_for_where
            else self.field_source.link
        )

    def _can_stream(self, request: PageRequest) -> bool:
        """Whether pages can be serialised while later ones are still being read: their rows have no nested fields."""
        shapes = self.shown.shapes
        return len(shapes) == 1 and not shapes[0].columns and not self.shown.counted and not request.backwards

    async def _streamed(
        self, link: Children, request: PageRequest, rows: list[Row], times: Times, run: PlanRun
    ) -> list[Any]:
        """Pages serialised batch by batch, so that never two batches of a big level's rows are in memory."""
        (shape,) = self.shown.shapes
        budget, found = run.reader.budget, dict[str, bytes]()
        named = _times_by_name(rows, link, times)
        objects = 0
        try:
            async for families in stream_children(
                link, request, rows, shape.fields, run.reader.viewer, as_sent=self.as_sent
            ):
                pages = request.pages(family for _, family in families)
                each = None if named is None else [named[parent] for parent, _ in families]
                level = OwnRows(run, self.shown.shapes, repeated((page.rows for page in pages), each), self.as_sent)
                objects += self._count(run, pages, level)
                connections = await self._connections(run, [*pages], [None] * len(pages), level, each)
                found.update(zip((parent for parent, _ in families), connections, strict=True))
        except TooManyChildren:
            # They will be read, and counted, once more.
            each = None if named is None else [named[parent] for parent in found]
            budget.subtract(objects, size_of(list(found.values()), each))
            raise
        empty = self.shown.write(request.page([]), None, [])
        values = [found.get(row.get(link.of, ""), empty) for row in rows]
        if len(found) < len(rows):
            alone = [value is empty for value in values]
            budget.add_bytes(len(empty) * (sum(alone) if times is None else sum(map(mul, alone, times))))
        return values

    async def _pages(
        self, link: Paged, request: PageRequest, rows: list[Row], times: Times, run: PlanRun
    ) -> tuple[list[Page | None], PageRows]:
        """A page for each row, and its form in the answer."""
        if not self.shown.paged:
            return [None] * len(rows), OwnRows(run, [], None, self.as_sent)
        viewer, fields = run.reader.viewer, self.fields
        match link:
            case AllDocuments():
                pages = [await page_of_all(link.document, request, fields, viewer, as_sent=self.as_sent)]
            case Children():
                pages = await pages_of_children(link, request, rows, fields, viewer, as_sent=self.as_sent)
            case PagedByIds():
                pages = await pages_by_ids(link, request, rows, fields, viewer, as_sent=self.as_sent)
        of_pages = SharedRows if isinstance(link, PagedByIds) else OwnRows
        level = of_pages(run, self.shown.shapes, repeated((page.rows for page in pages), times), self.as_sent)
        self._count(run, pages, level)
        await level.read(await _rows_of(pages))
        return list(pages), level

    def _count(self, run: PlanRun, pages: list[Page], level: PageRows) -> int:
        """Count the objects on pages before anything below them is read: a row counts once for each of its shapes."""
        rows = total(sum(len(page.rows) for page in pages), level.times)
        run.reader.budget.add_objects(counted := rows * max(1, len(self.shown.shapes)))
        return counted

    async def _counts(self, link: Paged, request: PageRequest, rows: list[Row], run: PlanRun) -> list[int | None]:
        """The total number of rows for each parent."""
        viewer = run.reader.viewer
        match link:
            case AllDocuments():
                return [await count_all(link.document, request.filter, viewer)]
            case Children():
                return await count_children(link, request.filter, rows, viewer)
            case PagedByIds():
                return await count_by_ids(link, request.filter, rows, viewer)

    def _apart(self, pages: list[Page | None], counts: list[int | None], level: OwnRows) -> list[Any]:
        """The root's only page as objects, whose text is counted when it is written."""
        ((page, count),) = zip(pages, counts, strict=True)
        return [self.shown.build(page, count, *level.objects(page.rows if page is not None else []))]

    async def _connections(
        self,
        run: PlanRun,
        pages: list[Page | None],
        counts: list[int | None],
        level: PageRows,
        times: Times,
    ) -> list[Any]:
        """The connection of each page as text, in turns; pages and rows are released on the way."""
        if len(pages) == 1:
            return [self._connection(run, pages[0], counts[0], level, times)]
        made: list[Any] = []
        budget = run.reader.budget
        big = budget.objects > json_output.BIG
        start = 0
        for turn in _turns(_weights(pages, level.copied() if big else [])):
            some, rows = pages[turn], [row for page in pages[turn] if page is not None for row in page.rows]
            place = slice(start, start := start + len(rows))
            shown = level.texts(rows, place)
            connections = list(
                map(self.shown.write, some, counts[turn], *_divided(some, [texts for texts, _ in shown]))
            )
            # The rows have been counted already.
            budget.add_bytes(size_of(connections, part(times, turn)) - sum(size for _, size in shown))
            if big:
                pages[turn] = [None] * (turn.stop - turn.start)
                level.let_go(place)
            made += connections
            if turn.stop < len(pages):
                await event_loop.yield_to_event_loop()
        return made

    def _connection(self, run: PlanRun, page: Page | None, count: int | None, level: PageRows, times: Times) -> bytes:
        """The text of a level's only page."""
        rows = page.rows if page is not None else []
        shown = level.texts(rows, slice(0, len(rows)))
        connection = self.shown.write(page, count, *[texts for texts, _ in shown])
        size = len(connection) if times is None else len(connection) * times[0]
        # The rows have been counted already.
        run.reader.budget.add_bytes(size - sum(size for _, size in shown))
        return connection


async def _rows_of(pages: list[Page]) -> list[Row]:
    """The rows of all pages, concatenated."""
    if len(pages) == 1:
        return pages[0].rows
    rows: list[Row] = []
    async for some in event_loop.batches(pages):
        rows += [row for page in some for row in page.rows]
    return rows


def _times_by_name(rows: list[Row], link: Children, times: Times) -> dict[str, int] | None:
    """How often each row occurs, by the name that its children refer to; None when each occurs once."""
    if times is None and link.of == "_id":
        return None
    counted: Counter[str] = Counter()
    for row, each in zip(rows, times or [1] * len(rows), strict=True):
        counted[row.get(link.of, "")] += each
    return counted


def _divided(pages: list[Page | None], lists: list[list[Any]]) -> Iterator[list[list[Any]]]:
    """Split flat per-level lists back into one list per page."""
    ends = accumulate((len(page.rows) if page is not None else 0 for page in pages), initial=0)
    bounds = list(pairwise(ends))
    return ([shown[start:end] for start, end in bounds] for shown in lists)


def _turns(weights: list[int]) -> Iterator[slice]:
    """Slices of pages, each with about as much work as may be done in one turn."""
    start = weight = 0
    for end, one in enumerate(weights, 1):
        weight += one
        if weight >= event_loop.BATCH_ROWS or end == len(weights):
            yield slice(start, end)
            start, weight = end, 0


def _weights(pages: list[Page | None], texts: list[list[Any]]) -> list[int]:
    """The work of each page, in rows: its own, and its nested text converted to rows."""
    rows = [len(page.rows) if page is not None else 0 for page in pages]
    if not texts:
        return [1 + count for count in rows]
    ends = pairwise(accumulate(rows, initial=0))
    copied = (sum(sum(map(len, column[start:end])) for column in texts) for start, end in ends)
    return [1 + count + size // TEXT_OF_ROW for count, size in zip(rows, copied, strict=True)]
