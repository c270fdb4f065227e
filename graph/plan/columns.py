"""What stands beside rows: values read from further collections, one round trip for all rows of a level."""

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import chain
from math import ceil
from typing import Any

from graph.declared import Compute, Found, node_document
from graph.plan.shape import Row, Shape, StepAside
from resolvers import fetch, turns
from resolvers.links import Listed, One, Picked, Referring
from resolvers.reader import Reader

MOST_ROWS = 5_000
"""Rows beside which a column is read at once. Putting together what belongs to many more would keep others waiting."""
LANES = 3
"""Parts of a level that are read at the same time, each with all below it: while the database looks for one, another is
being shown."""
WORTH_LANES = 1_000
"""Rows beyond which a column with levels below is read in lanes. Below, and in a lane, a level is one round trip."""


@dataclass(frozen=True)
class Run:
    """One request: what it reads with, and the values of its variables."""

    reader: Reader
    variables: Any
    in_lane: bool = False
    """Whether a level above is read in lanes already."""


Arguments = Callable[[Run], dict[str, Any]]
"""A field's arguments, by Python name."""


class Column(ABC):
    """Values beside rows."""

    @property
    def has_levels(self) -> bool:
        """Whether pages are below its pages, so that there is something to be read beside its own rows."""
        return False

    @abstractmethod
    async def read(self, run: Run, rows: list[Row]) -> list[Any]:
        """One value for each row, shown as the answer has it."""


async def show(run: Run, shape: Shape, rows: list[Row]) -> list[Any]:
    """The rows as the answer shows them, their columns read side by side."""
    columns = await beside(run, shape, rows) if shape.columns else []
    if len(rows) <= turns.ROWS:
        return shape.build(rows, *columns)
    shown: list[Any] = []
    async for some in turns.of(rows):
        part = slice(len(shown), len(shown) + len(some))
        shown += shape.build(some, *(column[part] for column in columns))
    return shown


async def beside(run: Run, shape: Shape, rows: list[Row]) -> list[list[Any]]:
    """The columns of a shape for the rows, one value a row, read side by side."""
    if not rows:
        return [[] for _ in shape.columns]
    match shape.columns:
        case [only]:
            return [await _read(run, only, rows)]
        case several:
            return await together(*(_read(run, column, rows) for column in several))


def _read(run: Run, column: Column, rows: list[Row]) -> Awaitable[list[Any]]:
    """A column; beside many rows it is read in lanes, and beside very many for some of them after the other."""
    if len(rows) > WORTH_LANES and column.has_levels and not run.in_lane:
        return _read_in_lanes(run, column, rows)
    if len(rows) > MOST_ROWS:
        return _read_by_and_by(run, column, rows)
    return column.read(run, rows)


async def _read_in_lanes(run: Run, column: Column, rows: list[Row]) -> list[Any]:
    size, lane = ceil(len(rows) / LANES), replace(run, in_lane=True)
    parts = [rows[start : start + size] for start in range(0, len(rows), size)]
    return list(chain.from_iterable(await together(*(_read(lane, column, part) for part in parts))))


async def _read_by_and_by(run: Run, column: Column, rows: list[Row]) -> list[Any]:
    values: list[Any] = []
    async for some in turns.of(rows, MOST_ROWS):
        values += await column.read(run, some)
    return values


async def together(*reads: Awaitable[Any]) -> list[Any]:
    """What all reads give. When one fails the others are waited for, so that none outlives the plan it belongs to."""
    found = await asyncio.gather(*reads, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found


@dataclass
class Single(Column):
    """The one row that each row links to."""

    link: One | Picked
    shape: Shape
    required: bool
    arguments: Arguments
    argument: str | None = None

    async def read(self, run: Run, rows: list[Row]) -> list[Any]:
        fields = self.shape.fields
        found: list[Row | None]
        if isinstance(self.link, One):
            found = await fetch.ones(self.link, rows, fields, run.reader.viewer)
        else:
            value = self.arguments(run)[self.argument or ""]
            found = await fetch.picked(self.link, value, rows, fields, run.reader.viewer)
        distinct = {row["_id"]: row for row in found if row is not None}
        run.reader.budget.spend(len(distinct))
        shown = dict(zip(distinct, await show(run, self.shape, list(distinct.values())), strict=True))
        if self.required and None in found:
            raise StepAside("a link that may not be null leads nowhere")
        return [None if row is None else shown[row["_id"]] for row in found]


@dataclass
class Several(Column):
    """The short list of rows that each row links to."""

    link: Listed | Referring
    shape: Shape

    async def read(self, run: Run, rows: list[Row]) -> list[Any]:
        fields = self.shape.fields
        if isinstance(self.link, Listed):
            found = await fetch.listed(self.link, rows, fields, run.reader.viewer)
        else:
            found = await fetch.referring(self.link, rows, fields, run.reader.viewer)
        distinct = {row["_id"]: row for some in found for row in some}
        run.reader.budget.spend(len(distinct))
        shown = dict(zip(distinct, await show(run, self.shape, list(distinct.values())), strict=True))
        return [[shown[row["_id"]] for row in some] for some in found]


@dataclass
class Keyed(Column):
    """The one row with given values at its unique keys: a root field."""

    declared: Found
    shape: Shape
    arguments: Arguments
    only: tuple[str, str] | None = None
    """The Python name of its only argument and the variable that it is, where it is one."""

    async def read(self, run: Run, rows: list[Row]) -> list[Any]:
        key = dict(self.declared.key(self.arguments(run)))
        row = await fetch.by_key(self.declared.document, key, self.shape.fields, run.reader.viewer)
        run.reader.budget.spend(1)
        return await show(run, self.shape, [row]) if row else [None]


@dataclass
class Nodes(Column):
    """Rows of any kind by their ids: a root field."""

    ids: Callable[[Run], list[str]]
    shape_of: Callable[[str], Shape]
    several: bool

    async def read(self, run: Run, rows: list[Row]) -> list[Any]:
        ids = self.ids(run)
        parts = await together(*(self._of(document, some, run) for document, some in self.wanted(run).items()))
        found = {id: shown for part in parts for id, shown in part.items()}
        return [[found.get(id) for id in ids]] if self.several else [found.get(ids[0])]

    def wanted(self, run: Run) -> dict[Any, list[str]]:
        """The ids asked for, by document."""
        found: dict[Any, list[str]] = {}
        for id in dict.fromkeys(self.ids(run)):
            if (document := node_document(id)) is not None:
                found.setdefault(document, []).append(id)
        return found

    async def _of(self, document: Any, ids: list[str], run: Run) -> dict[str, Any]:
        shape = self.shape_of(document.kind)
        found = await fetch.by_ids(document, ids, shape.fields, run.reader.viewer)
        run.reader.budget.spend(len(found))
        return dict(zip(found, await show(run, shape, list(found.values())), strict=True))


@dataclass
class Values(Column):
    """What a function makes of all rows."""

    compute: Compute
    arguments: Arguments
    shown: Callable[[list[Any]], list[Any]] | None
    shape: Shape | None = None

    async def read(self, run: Run, rows: list[Row]) -> list[Any]:
        values: Any = self.compute(rows, run.reader.viewer, **self.arguments(run))
        if inspect.isawaitable(values):
            values = await values
        if self.shape is not None:
            return await self._rows(run, list(values))
        return self.shown(list(values)) if self.shown else list(values)

    async def _rows(self, run: Run, values: list[Any]) -> list[Any]:
        """Values that are rows, or lists of rows, themselves."""
        assert self.shape is not None
        flat = [row for value in values for row in (value if isinstance(value, list) else [value]) if row is not None]
        shown = iter(await show(run, self.shape, flat))
        return [
            [next(shown) for _ in value] if isinstance(value, list) else None if value is None else next(shown)
            for value in values
        ]
