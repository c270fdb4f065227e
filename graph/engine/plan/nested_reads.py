"""Nested fields: values from other collections, fetched once per level."""

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import chain
from math import ceil
from operator import mul
from typing import Any, ClassVar

from graph.core.fields import Compute, LookupField, node_document
from graph.engine.plan import json_output
from graph.engine.plan.occurrences import Times, distinct, part, repeated, total
from graph.engine.plan.row_codegen import FallbackToReference, Row, RowTemplate
from resolvers.concurrency import event_loop
from resolvers.reads import lookups
from resolvers.reads.loaders import RequestLoader
from resolvers.reads.relations import ToManyByIds, ToManyContaining, ToOne, ToOneBy

MOST_ROWS = 5_000
"""Rows for which a nested field is read at once. Assembling the values of many more would block other requests."""
LANES = 3
"""Partitions of a level that are read concurrently, each with all levels below it: the database works on one while
another is serialised."""
WORTH_LANES = 1_000
"""Rows beyond which a nested field with levels below is read in partitions. Below, and in a partition, a level is one
round trip."""


@dataclass(frozen=True)
class PlanRun:
    """One request: its reader and the values of its variables."""

    reader: RequestLoader
    variables: Any
    in_lane: bool = False
    """Whether a level above is already read in partitions."""


Arguments = Callable[[PlanRun], dict[str, Any]]
"""A field's arguments, by Python name."""


class NestedField(ABC):
    """A nested field: one value for each row of a level."""

    is_text: ClassVar[bool] = False
    """Whether each value is text, and may be large."""

    @property
    def has_levels(self) -> bool:
        """Whether its pages hold nested pages, so that more is to be read for its own rows."""
        return False

    @abstractmethod
    async def read(self, run: PlanRun, rows: list[Row], times: Times) -> list[Any]:
        """The value for each row, as in the answer, with objects as text. Raises AnswerTooLarge.

        `times` says how often each row occurs in the answer; linked rows occur as often.
        """


async def show(
    run: PlanRun, shape: RowTemplate, rows: list[Row], times: Times, *, as_sent: bool = False
) -> list[bytes]:
    """The rows as text of the answer, with their nested fields read concurrently."""
    columns = await read_nested_fields(run, shape, rows, times) if shape.columns else []
    shown: list[bytes] = []
    async for some in event_loop.batches(rows):
        place = slice(len(shown), len(shown) + len(some))
        parts = [column[place] for column in columns]
        texts, _ = shape.texts(some, parts, part(times, place), run.reader.budget, as_sent=as_sent)
        shown += texts
    return shown


async def read_nested_fields(run: PlanRun, shape: RowTemplate, rows: list[Row], times: Times) -> list[list[Any]]:
    """The nested fields of a shape for the rows, read concurrently: a list of values for each field."""
    if not rows:
        return [[] for _ in shape.columns]
    match shape.columns:
        case []:
            return []
        case [only]:
            return [await _read(run, only, rows, times)]
        case several:
            return await gather_all(*(_read(run, column, rows, times) for column in several))


def _read(run: PlanRun, column: NestedField, rows: list[Row], times: Times) -> Awaitable[list[Any]]:
    """Reads a nested field: above 1,000 rows in three concurrent partitions, above 5,000 in sequential batches."""
    if len(rows) > WORTH_LANES and column.has_levels and not run.in_lane:
        return _read_in_lanes(run, column, rows, times)
    if len(rows) > MOST_ROWS:
        return _read_by_and_by(run, column, rows, times)
    return column.read(run, rows, times)


async def _read_in_lanes(run: PlanRun, column: NestedField, rows: list[Row], times: Times) -> list[Any]:
    size, lane = ceil(len(rows) / LANES), replace(run, in_lane=True)
    places = [slice(start, start + size) for start in range(0, len(rows), size)]
    reads = (_read(lane, column, rows[place], part(times, place)) for place in places)
    return list(chain.from_iterable(await gather_all(*reads)))


async def _read_by_and_by(run: PlanRun, column: NestedField, rows: list[Row], times: Times) -> list[Any]:
    values: list[Any] = []
    async for some in event_loop.batches(rows, MOST_ROWS):
        values += await column.read(run, some, part(times, slice(len(values), len(values) + len(some))))
    return values


async def show_distinct(run: PlanRun, shape: RowTemplate, found: list[Row], times: Times) -> dict[str, bytes]:
    """Rows as text of the answer, by their ids: each is serialised once, however often it was found."""
    run.reader.budget.add_objects(total(len(found), times))
    rows, occurrences = distinct(found, times)
    texts = await show(run, shape, list(rows.values()), occurrences, as_sent=shape.as_sent)
    return dict(zip(rows, texts, strict=True))


def write_lists(run: PlanRun, lists: list[list[bytes]], times: Times) -> list[bytes]:
    """Lists of texts, as text of the answer."""
    # Brackets, and commas between the members.
    sizes = [1 + max(1, len(members)) for members in lists]
    run.reader.budget.add_bytes(sum(sizes) if times is None else sum(map(mul, sizes, times)))
    return [json_output.write_list(members) for members in lists]


async def gather_all(*reads: Awaitable[Any]) -> list[Any]:
    """The results of all reads. When one fails, the others are awaited, so that none outlives its plan."""
    found = await asyncio.gather(*reads, return_exceptions=True)
    failed = next((one for one in found if isinstance(one, BaseException)), None)
    if failed is None:
        return found
    try:
        raise failed
    finally:
        # Otherwise its traceback and this frame refer to each other, which keeps everything read until it is collected.
        del found, failed


@dataclass
class NestedToOne(NestedField):
    """The one row that each row links to."""

    link: ToOne | ToOneBy
    shape: RowTemplate
    required: bool
    arguments: Arguments
    argument: str | None = None

    async def read(self, run: PlanRun, rows: list[Row], times: Times) -> list[Any]:
        fields, as_sent, viewer = self.shape.fields, self.shape.as_sent, run.reader.viewer
        found: list[Row | None]
        if isinstance(self.link, ToOne):
            found = await lookups.linked_rows(self.link, rows, fields, viewer, as_sent=as_sent)
        else:
            value = self.arguments(run)[self.argument or ""]
            found = await lookups.one_by(self.link, value, rows, fields, viewer, as_sent=as_sent)
        there = [row for row in found if row is not None]
        if times is not None:
            times = [each for row, each in zip(found, times, strict=True) if row is not None]
        shown = await show_distinct(run, self.shape, there, times)
        if self.required and None in found:
            raise FallbackToReference("a link that may not be null leads nowhere")
        return [None if row is None else shown[row["_id"]] for row in found]


@dataclass
class NestedToMany(NestedField):
    """The short list of rows that each row links to."""

    link: ToManyByIds | ToManyContaining
    shape: RowTemplate
    is_text = True

    async def read(self, run: PlanRun, rows: list[Row], times: Times) -> list[Any]:
        fields, as_sent, viewer = self.shape.fields, self.shape.as_sent, run.reader.viewer
        if isinstance(self.link, ToManyByIds):
            found = await lookups.by_id_lists(self.link, rows, fields, viewer, as_sent=as_sent)
        else:
            found = await lookups.rows_containing(self.link, rows, fields, viewer, as_sent=as_sent)
        shown = await show_distinct(run, self.shape, list(chain.from_iterable(found)), repeated(found, times))
        return write_lists(run, [[shown[row["_id"]] for row in some] for some in found], times)


@dataclass
class RootLookup(NestedField):
    """The one row with given values of its unique keys: a root field."""

    field_source: LookupField
    shape: RowTemplate
    arguments: Arguments
    only: tuple[str, str] | None = None
    """The Python name of its only argument, and the name of the variable given for it, if it is one."""

    async def read(self, run: PlanRun, rows: list[Row], times: Times) -> list[Any]:
        key = dict(self.field_source.key(self.arguments(run)))
        row = await lookups.by_key(self.field_source.document, key, self.shape.fields, run.reader.viewer)
        if row is None:
            return [None]
        run.reader.budget.add_objects(1)
        return await show(run, self.shape, [row], times)


@dataclass
class RootNodes(NestedField):
    """Rows of any kind by their ids: a root field."""

    ids: Callable[[PlanRun], list[str]]
    shape_of: Callable[[str], RowTemplate]
    several: bool

    async def read(self, run: PlanRun, rows: list[Row], times: Times) -> list[Any]:
        ids = self.ids(run)
        parts = await gather_all(
            *(self._of(document, some, run) for document, some in self.ids_by_document(run).items())
        )
        found = {id: shown for part in parts for id, shown in part.items()}
        return [[found.get(id) for id in ids]] if self.several else [found.get(ids[0])]

    def ids_by_document(self, run: PlanRun) -> dict[Any, list[str]]:
        """The requested ids by kind of document, with duplicates."""
        found: dict[Any, list[str]] = {}
        for id in self.ids(run):
            if (document := node_document(id)) is not None:
                found.setdefault(document, []).append(id)
        return found

    async def _of(self, document: Any, ids: list[str], run: PlanRun) -> dict[str, bytes]:
        shape = self.shape_of(document.kind)
        found = await lookups.by_ids(document, ids, shape.fields, run.reader.viewer, as_sent=shape.as_sent)
        shown = await show_distinct(run, shape, [found[id] for id in ids if id in found], None)
        # A merge may have replaced the row of an id by another.
        return {id: shown[row["_id"]] for id, row in found.items()}


@dataclass
class NestedComputed(NestedField):
    """Values that a function computes for all rows."""

    compute: Compute
    arguments: Arguments
    shown: Callable[[list[Any]], list[Any]] | None
    shape: RowTemplate | None = None

    async def read(self, run: PlanRun, rows: list[Row], times: Times) -> list[Any]:
        values: Any = self.compute(rows, run.reader.viewer, **self.arguments(run))
        if inspect.isawaitable(values):
            values = await values
        if self.shape is not None:
            return await self._rows(run, list(values), times)
        return self.shown(list(values)) if self.shown else list(values)

    async def _rows(self, run: PlanRun, values: list[Any], times: Times) -> list[Any]:
        """Values that are rows, or lists of rows."""
        assert self.shape is not None
        lists = [value if isinstance(value, list) else [] if value is None else [value] for value in values]
        rows, occurrences = list(chain.from_iterable(lists)), repeated(lists, times)
        run.reader.budget.add_objects(total(len(rows), occurrences))
        shown = iter(await show(run, self.shape, rows, occurrences))
        members = [[next(shown) for _ in one] for one in lists]
        if not any(isinstance(value, list) for value in values):
            return [one[0] if one else None for one in members]
        written = write_lists(run, members, times)
        return [None if value is None else one for value, one in zip(values, written, strict=True)]
