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
from graph.engine.plan.occurrences import Occurrences, member_times, slice_times, total_occurrences, total_size
from graph.engine.plan.page_rows import OwnRows, PageRows, SharedRows
from graph.engine.plan.row_codegen import ROOT, Row
from resolvers.concurrency import event_loop
from resolvers.reads.children import TooManyChildren, stream_children
from resolvers.reads.counts import count_all, count_by_ids, count_children
from resolvers.reads.page_request import Page, PageRequest
from resolvers.reads.pages import page_of_all, pages_by_ids, pages_of_children
from resolvers.reads.relations import AllDocuments, Children, PagedByIds, PagedLink

BYTES_PER_ROW_EQUIVALENT = 4_000
"""Bytes of text that take about as long to copy as a row takes to serialise."""


@dataclass
class NestedPages(NestedField):
    """A connection: a page of rows for each row."""

    field_source: ConnectionField
    arguments: Arguments
    connection: CompiledConnection
    constant_page: PageRequest | None = None
    """The requested page, where the arguments are constant."""
    is_text = True

    async def read(self, run: PlanRun, rows: list[Row], times: Occurrences) -> list[Any]:
        request, link = self.constant_page or self.field_source.page_request(self.arguments(run)), self.link(run)
        if len(rows) > 1 and isinstance(link, Children) and not link.single_parent and self._can_stream(request):
            try:
                return await self._stream_pages(link, request, rows, times, run)
            except TooManyChildren:
                # Read below, with a limit for each parent.
                pass
        reading = self._read_pages(link, request, rows, times, run)
        if self.connection.needs_count:
            (pages, level), counts = await gather_all(reading, self._read_counts(link, request, rows, run))
        else:
            (pages, level), counts = await reading, [None] * len(rows)
        # The only page of a big answer is serialised in chunks when the answer is written.
        if (
            rows[0] is ROOT
            and run.loader.budget.objects > json_output.MAX_OBJECTS_AT_ONCE
            and isinstance(level, OwnRows)
        ):
            return self._build_only_page(pages, counts, level)
        return await self._render_connections(run, pages, counts, level, times)

    @cached_property
    def uses_raw_bson(self) -> bool:
        """Whether its rows are written straight from the database's BSON."""
        return all(template.writer is not None for template in self.connection.templates)

    @cached_property
    def fields(self) -> frozenset[str]:
        """The stored paths that its rows need."""
        return frozenset({"_id"}.union(*(template.fields for template in self.connection.templates)))

    @cached_property
    def has_nested_pages(self) -> bool:
        """Whether its rows have nested pages of their own."""
        return any(
            isinstance(nested_field, NestedPages)
            for template in self.connection.templates
            for nested_field in template.nested_fields
        )

    def link(self, run: PlanRun) -> PagedLink:
        """The link that the arguments select, which is constant for most fields."""
        return (
            self.field_source.link_for(self.arguments(run))
            if self.field_source.link_for_where
            else self.field_source.link
        )

    def _can_stream(self, request: PageRequest) -> bool:
        """Whether pages can be serialised while later ones are still being read: their rows have no nested fields."""
        templates = self.connection.templates
        return (
            len(templates) == 1
            and not templates[0].nested_fields
            and not self.connection.needs_count
            and not request.backwards
        )

    async def _stream_pages(
        self, link: Children, request: PageRequest, rows: list[Row], times: Occurrences, run: PlanRun
    ) -> list[Any]:
        """Pages serialised batch by batch, so that two batches of a big level's rows are never in memory at once."""
        (template,) = self.connection.templates
        budget, connections = run.loader.budget, dict[str, bytes]()
        times_by_key = _times_by_key(rows, link, times)
        objects = 0
        try:
            async for groups in stream_children(
                link, request, rows, template.fields, run.loader.viewer, raw_bson=self.uses_raw_bson
            ):
                pages = request.pages(children for _, children in groups)
                group_times = None if times_by_key is None else [times_by_key[key] for key, _ in groups]
                level = OwnRows(
                    run,
                    self.connection.templates,
                    member_times((page.rows for page in pages), group_times),
                    self.uses_raw_bson,
                )
                objects += self._count_objects(run, pages, level)
                texts = await self._render_connections(run, [*pages], [None] * len(pages), level, group_times)
                connections.update(zip((key for key, _ in groups), texts, strict=True))
        except TooManyChildren:
            # They will be read, and counted, once more.
            group_times = None if times_by_key is None else [times_by_key[key] for key in connections]
            budget.subtract(objects, total_size(list(connections.values()), group_times))
            raise
        empty = self.connection.write(request.page([]), None, [])
        values = [connections.get(row.get(link.of, ""), empty) for row in rows]
        if len(connections) < len(rows):
            is_empty = [value is empty for value in values]
            budget.add_bytes(len(empty) * (sum(is_empty) if times is None else sum(map(mul, is_empty, times))))
        return values

    async def _read_pages(
        self, link: PagedLink, request: PageRequest, rows: list[Row], times: Occurrences, run: PlanRun
    ) -> tuple[list[Page | None], PageRows]:
        """A page for each row, and the rows of all pages."""
        if not self.connection.needs_rows:
            return [None] * len(rows), OwnRows(run, [], None, self.uses_raw_bson)
        viewer, fields = run.loader.viewer, self.fields
        match link:
            case AllDocuments():
                pages = [await page_of_all(link.document, request, fields, viewer, raw_bson=self.uses_raw_bson)]
            case Children():
                pages = await pages_of_children(link, request, rows, fields, viewer, raw_bson=self.uses_raw_bson)
            case PagedByIds():
                pages = await pages_by_ids(link, request, rows, fields, viewer, raw_bson=self.uses_raw_bson)
        rows_type = SharedRows if isinstance(link, PagedByIds) else OwnRows
        level = rows_type(
            run, self.connection.templates, member_times((page.rows for page in pages), times), self.uses_raw_bson
        )
        self._count_objects(run, pages, level)
        await level.read(await _all_rows(pages))
        return list(pages), level

    def _count_objects(self, run: PlanRun, pages: list[Page], level: PageRows) -> int:
        """Count the objects on pages before anything below them is read: a row counts once for each template."""
        rows = total_occurrences(sum(len(page.rows) for page in pages), level.times)
        run.loader.budget.add_objects(objects := rows * max(1, len(self.connection.templates)))
        return objects

    async def _read_counts(
        self, link: PagedLink, request: PageRequest, rows: list[Row], run: PlanRun
    ) -> list[int | None]:
        """The total number of rows for each parent."""
        viewer = run.loader.viewer
        match link:
            case AllDocuments():
                return [await count_all(link.document, request.filter, viewer)]
            case Children():
                return await count_children(link, request.filter, rows, viewer)
            case PagedByIds():
                return await count_by_ids(link, request.filter, rows, viewer)

    def _build_only_page(self, pages: list[Page | None], counts: list[int | None], level: OwnRows) -> list[Any]:
        """The root's only page as objects, whose text is counted when it is written."""
        ((page, count),) = zip(pages, counts, strict=True)
        return [self.connection.build(page, count, *level.objects(page.rows if page is not None else []))]

    async def _render_connections(
        self,
        run: PlanRun,
        pages: list[Page | None],
        counts: list[int | None],
        level: PageRows,
        times: Occurrences,
    ) -> list[Any]:
        """The connection of each page as text, in batches of work; pages and rows are released on the way."""
        if len(pages) == 1:
            return [self._render_connection(run, pages[0], counts[0], level, times)]
        texts: list[Any] = []
        budget = run.loader.budget
        is_big = budget.objects > json_output.MAX_OBJECTS_AT_ONCE
        start = 0
        for batch in _work_batches(_page_weights(pages, level.nested_texts() if is_big else [])):
            batch_pages = pages[batch]
            rows = [row for page in batch_pages if page is not None for row in page.rows]
            place = slice(start, start := start + len(rows))
            row_texts = level.texts(rows, place)
            texts_by_page = _split_by_page(batch_pages, [texts_of_rows for texts_of_rows, _ in row_texts])
            connections = list(map(self.connection.write, batch_pages, counts[batch], *texts_by_page))
            # The rows have been counted already.
            size = total_size(connections, slice_times(times, batch))
            budget.add_bytes(size - sum(rows_size for _, rows_size in row_texts))
            if is_big:
                pages[batch] = [None] * (batch.stop - batch.start)
                level.release(place)
            texts += connections
            if batch.stop < len(pages):
                await event_loop.yield_to_event_loop()
        return texts

    def _render_connection(
        self, run: PlanRun, page: Page | None, count: int | None, level: PageRows, times: Occurrences
    ) -> bytes:
        """The text of a level's only page."""
        rows = page.rows if page is not None else []
        row_texts = level.texts(rows, slice(0, len(rows)))
        connection = self.connection.write(page, count, *[texts for texts, _ in row_texts])
        size = len(connection) if times is None else len(connection) * times[0]
        # The rows have been counted already.
        run.loader.budget.add_bytes(size - sum(rows_size for _, rows_size in row_texts))
        return connection


async def _all_rows(pages: list[Page]) -> list[Row]:
    """The rows of all pages, concatenated."""
    if len(pages) == 1:
        return pages[0].rows
    rows: list[Row] = []
    async for batch in event_loop.batches(pages):
        rows += [row for page in batch for row in page.rows]
    return rows


def _times_by_key(rows: list[Row], link: Children, times: Occurrences) -> dict[str, int] | None:
    """How often parents occur, by the value that their children refer to; None when each occurs once."""
    if times is None and link.of == "_id":
        return None
    counts: Counter[str] = Counter()
    for row, count in zip(rows, times or [1] * len(rows), strict=True):
        counts[row.get(link.of, "")] += count
    return counts


def _split_by_page(pages: list[Page | None], lists: list[list[Any]]) -> Iterator[list[list[Any]]]:
    """Split flat per-level lists back into one list per page."""
    ends = accumulate((len(page.rows) if page is not None else 0 for page in pages), initial=0)
    bounds = list(pairwise(ends))
    return ([texts[start:end] for start, end in bounds] for texts in lists)


def _work_batches(weights: list[int]) -> Iterator[slice]:
    """Slices of pages, each with about as much work as may be done without yielding to the event loop."""
    start = batch_weight = 0
    for end, weight in enumerate(weights, 1):
        batch_weight += weight
        if batch_weight >= event_loop.BATCH_ROWS or end == len(weights):
            yield slice(start, end)
            start, batch_weight = end, 0


def _page_weights(pages: list[Page | None], nested_texts: list[list[Any]]) -> list[int]:
    """The work of each page, in rows: its own, and the rows that its nested text amounts to."""
    rows = [len(page.rows) if page is not None else 0 for page in pages]
    if not nested_texts:
        return [1 + count for count in rows]
    ends = pairwise(accumulate(rows, initial=0))
    sizes = (sum(sum(map(len, column[start:end])) for column in nested_texts) for start, end in ends)
    return [1 + count + size // BYTES_PER_ROW_EQUIVALENT for count, size in zip(rows, sizes, strict=True)]
