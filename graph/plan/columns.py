"""What stands beside rows: values read from further collections, one round trip for all rows of a level."""

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from graph.declared import Compute, Connected, Found, node_document
from graph.plan.shape import Row, Shape, StepAside
from resolvers import fetch
from resolvers.links import Every, Gathered, Listed, Many, One, Picked, Referring
from resolvers.page import Page, Window
from resolvers.reader import Reader

CHUNK = 4_000
"""Rows that are shown before other requests have their turn."""


BIG = 20_000
"""Rows of a level beyond which its pages are written as text at once."""


@dataclass(frozen=True)
class Run:
    """One request: what it reads with, and the values of its variables."""

    reader: Reader
    variables: Any


Arguments = Callable[[Run], dict[str, Any]]
"""A field's arguments, by Python name."""


class Column(ABC):
    """Values beside rows."""

    @abstractmethod
    async def read(self, run: Run, rows: list[Row]) -> list[Any]:
        """One value for each row, shown as the answer has it."""


async def show(run: Run, shape: Shape, rows: list[Row]) -> list[Any]:
    """The rows as the answer shows them, their columns read side by side."""
    if not rows:
        return []
    match shape.columns:
        case []:
            columns: list[list[Any]] = []
        case [only]:
            columns = [await only.read(run, rows)]
        case several:
            columns = await together(*(column.read(run, rows) for column in several))
    if len(rows) <= CHUNK:
        return shape.build(rows, *columns)
    shown: list[Any] = []
    for start in range(0, len(rows), CHUNK):
        part = slice(start, start + CHUNK)
        shown += shape.build(rows[part], *(column[part] for column in columns))
        await asyncio.sleep(0)
    return shown


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
        fields = frozenset(self.shape.needs)
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
        fields = frozenset(self.shape.needs)
        if isinstance(self.link, Listed):
            found = await fetch.listed(self.link, rows, fields, run.reader.viewer)
        else:
            found = await fetch.referring(self.link, rows, fields, run.reader.viewer)
        distinct = {row["_id"]: row for some in found for row in some}
        run.reader.budget.spend(len(distinct))
        shown = dict(zip(distinct, await show(run, self.shape, list(distinct.values())), strict=True))
        return [[shown[row["_id"]] for row in some] for some in found]


@dataclass
class Pages(Column):
    """A page of rows for each row."""

    declared: Connected
    arguments: Arguments
    shapes: list[Shape]
    build: Callable[..., Any]
    """`(page, count, *rows shown, one list a shape)` → the connection."""
    paged: bool
    counted: bool
    constant: Window | None = field(default=None)

    async def read(self, run: Run, rows: list[Row]) -> list[Any]:
        asked = self.constant or self.declared.window(self.arguments(run))
        if len(rows) > 1 and self._can_stream(asked):
            streamed: list[int] = []
            try:
                return await self._streamed(asked, rows, run, streamed)
            except fetch.Crowded:
                # They will be read, and counted, once more.
                run.reader.budget.spent -= sum(streamed)
        (pages, shown), counts = await together(self._pages(asked, rows, run), self._counts(asked, rows, run))
        return [self.build(page, count, *lists) for page, count, lists in zip(pages, counts, shown, strict=True)]

    def _can_stream(self, asked: Window) -> bool:
        """Whether pages can be shown while later ones are still being read: nothing is beside or below their rows."""
        plain = len(self.shapes) == 1 and not self.shapes[0].columns
        return plain and not self.counted and not asked.backwards and isinstance(self.declared.link, Many)

    async def _streamed(self, asked: Window, rows: list[Row], run: Run, streamed: list[int]) -> list[Any]:
        """Pages shown batch by batch, whose rows are counted in `streamed`.

        Of a big answer only the text is kept, which takes less room than its objects.
        """
        (shape,), link = self.shapes, self.declared.link
        assert isinstance(link, Many)
        found: dict[str, Any] = {}
        async for families in fetch.families(link, asked, rows, frozenset(shape.needs), run.reader.viewer):
            shown = await show(run, shape, [row for family in families for row in family[: asked.size]])
            start = 0
            for family in families:
                page = asked.page(family)
                found[family[0][link.via]] = self.build(page, None, shown[start : start + len(page.rows)])
                start += len(page.rows)
            streamed.append(start)
            run.reader.budget.spend(start)
            if sum(streamed) > BIG:
                _as_text(found, families, link.via)
        empty = self.build(asked.page([]), None, [])
        return [found.get(row["_id"], empty) for row in rows]

    async def _pages(self, asked: Window, rows: list[Row], run: Run) -> tuple[list[Any], list[list[list[Any]]]]:
        """A page for each row, and what its rows are shown as."""
        if not self.paged:
            return [None] * len(rows), [[]] * len(rows)
        link, viewer = self.declared.link, run.reader.viewer
        fields = frozenset({"_id"}.union(*(shape.needs for shape in self.shapes)))
        match link:
            case Every():
                pages = [await fetch.every(link.document, asked, fields, viewer)]
            case Many():
                pages = await fetch.pages(link, asked, rows, fields, viewer)
            case Gathered():
                pages = await fetch.gathered(link, asked, rows, fields, viewer)
        run.reader.budget.spend(sum(len(page.rows) for page in pages))
        return pages, await self._shown(run, pages)

    async def _counts(self, asked: Window, rows: list[Row], run: Run) -> list[int | None]:
        """How many rows there are for each row, where that is asked for."""
        link, viewer = self.declared.link, run.reader.viewer
        if not self.counted:
            return [None] * len(rows)
        match link:
            case Every():
                return [await fetch.count_every(link.document, asked.filter, viewer)]
            case Many():
                return await fetch.counts(link, asked.filter, rows, viewer)
            case Gathered():
                return await fetch.counts_gathered(link, asked.filter, rows, viewer)

    async def _shown(self, run: Run, pages: list[Page]) -> list[list[list[Any]]]:
        """For each page, its rows in each of the shapes."""
        flat = [row for page in pages for row in page.rows]
        all_shown = [await show(run, shape, flat) for shape in self.shapes]
        start, divided = 0, []
        for page in pages:
            end = start + len(page.rows)
            divided.append([shown[start:end] for shown in all_shown])
            start = end
        return divided


def _as_text(found: dict[str, Any], families: list[list[Row]], via: str) -> None:
    """Write pages as they will stand in the answer."""
    for family in families:
        parent = family[0][via]
        found[parent] = orjson.Fragment(orjson.dumps(found[parent]))


@dataclass
class Keyed(Column):
    """The one row with given values at its unique keys: a root field."""

    declared: Found
    shape: Shape
    arguments: Arguments

    async def read(self, run: Run, rows: list[Row]) -> list[Any]:
        key = dict(self.declared.key(self.arguments(run)))
        row = await fetch.by_key(self.declared.document, key, frozenset(self.shape.needs), run.reader.viewer)
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
        found = await fetch.by_ids(document, ids, frozenset(shape.needs), run.reader.viewer)
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
