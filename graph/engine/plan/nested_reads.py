"""Nested fields: values from other collections, fetched once per level."""

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import ceil
from operator import mul
from typing import Any, ClassVar, cast

from documents.mongo import raw
from graph.core.fields import Compute, LookupField, node_document
from graph.engine.plan import json_output
from graph.engine.plan.occurrences import (
    Occurrences,
    distinct_rows,
    member_times,
    present_rows,
    slice_times,
    total_occurrences,
)
from graph.engine.plan.row_codegen import FallbackToReference, Row, RowTemplate
from resolvers.concurrency import event_loop
from resolvers.reads import lookups
from resolvers.reads.loaders import RequestLoader
from resolvers.reads.node_selection import NodeSelection
from resolvers.reads.order import value_at
from resolvers.reads.relations import ToManyByIds, ToManyContaining, ToOne, ToOneBy

READ_BATCH_SIZE = 5_000
"""Rows for which a nested field is read at once. Assembling the values of many more would block other requests."""
LIST_ROWS = 1_000
"""Rows of computed lists that are in memory at once."""
PARTITIONS = 3
"""Partitions of a level that are read concurrently, each with all levels below it: the database works on one while
another is serialised."""
MIN_ROWS_TO_PARTITION = 1_000
"""Rows beyond which a nested field with nested pages is read in partitions. With fewer, and in a partition, a level is
one round trip."""


@dataclass(frozen=True)
class PlanRun:
    """One request that runs a plan: its loader and the values of its variables."""

    loader: RequestLoader
    variables: Any
    in_partition: bool = False
    """Whether a level above is already read in partitions."""
    is_alone: bool = True
    """Whether the rows on the levels above, up to the root, are alone on theirs."""

    @property
    def keeps_objects(self) -> bool:
        """Whether what is alone in a big answer stays an object, whose text is counted, and copied, when it is
        written."""
        return self.is_alone and self.loader.budget.objects > json_output.MAX_OBJECTS_AT_ONCE

    def beside_others(self) -> "PlanRun":
        """The run of what is read for one of several rows, or for a list, whose members are put together as text."""
        return replace(self, is_alone=False) if self.is_alone else self


Arguments = Callable[[PlanRun], dict[str, Any]]
"""A field's arguments, by Python name."""


class NestedField(ABC):
    """A nested field: one value for each row of a level."""

    is_text: ClassVar[bool] = False
    """Whether each value is text, and may be large."""
    keeps_objects: ClassVar[bool] = False
    """Whether the value of a row that is alone may stay an object."""

    @property
    def has_nested_pages(self) -> bool:
        """Whether its rows have nested pages of their own."""
        return False

    @abstractmethod
    async def read(self, run: PlanRun, rows: list[Row], times: Occurrences) -> list[Any]:
        """The value for each row as in the answer, with objects as text. Raises AnswerTooLarge.

        `times` tells how often each row occurs in the answer; linked rows occur as often.
        """


async def render_rows(
    run: PlanRun, template: RowTemplate, rows: list[Row], times: Occurrences, *, raw_bson: bool = False
) -> list[bytes]:
    """The rows as text of the answer, with their nested fields read concurrently."""
    columns = await read_nested_fields(run, template, rows, times) if template.nested_fields else []
    if len(rows) == 1 and times is None and run.keeps_objects:
        return template.build(raw.decode_rows(cast(Any, rows)) if raw_bson else rows, *columns)
    texts: list[bytes] = []
    async for batch in event_loop.batches(rows):
        place = slice(len(texts), len(texts) + len(batch))
        values = [column[place] for column in columns]
        batch_texts, _ = template.texts(batch, values, slice_times(times, place), run.loader.budget, raw_bson=raw_bson)
        texts += batch_texts
    return texts


async def read_nested_fields(
    run: PlanRun, template: RowTemplate, rows: list[Row], times: Occurrences
) -> list[list[Any]]:
    """The nested fields of the rows, read concurrently: for each field a list of values."""
    if not rows:
        return [[] for _ in template.nested_fields]
    match template.nested_fields:
        case []:
            return []
        case [only]:
            return [await _read(run, only, rows, times)]
        case several:
            return await gather_all(*(_read(run, nested_field, rows, times) for nested_field in several))


def _read(run: PlanRun, nested_field: NestedField, rows: list[Row], times: Occurrences) -> Awaitable[list[Any]]:
    """Reads a nested field: above 1,000 rows in three concurrent partitions, above 5,000 in sequential batches."""
    if len(rows) != 1 or times is not None or not nested_field.keeps_objects:
        run = run.beside_others()
    if len(rows) > MIN_ROWS_TO_PARTITION and nested_field.has_nested_pages and not run.in_partition:
        return _read_in_partitions(run, nested_field, rows, times)
    if len(rows) > READ_BATCH_SIZE:
        return _read_in_batches(run, nested_field, rows, times)
    return nested_field.read(run, rows, times)


async def _read_in_partitions(
    run: PlanRun, nested_field: NestedField, rows: list[Row], times: Occurrences
) -> list[Any]:
    size, partition_run = ceil(len(rows) / PARTITIONS), replace(run, in_partition=True)
    places = [slice(start, start + size) for start in range(0, len(rows), size)]
    reads = (_read(partition_run, nested_field, rows[place], slice_times(times, place)) for place in places)
    return list(chain.from_iterable(await gather_all(*reads)))


async def _read_in_batches(run: PlanRun, nested_field: NestedField, rows: list[Row], times: Occurrences) -> list[Any]:
    values: list[Any] = []
    async for batch in event_loop.batches(rows, READ_BATCH_SIZE):
        place = slice(len(values), len(values) + len(batch))
        values += await nested_field.read(run, batch, slice_times(times, place))
    return values


async def render_distinct(
    run: PlanRun, template: RowTemplate, rows: list[Row], times: Occurrences, *, raw_bson: bool | None = None
) -> dict[str, bytes]:
    """Rows as text of the answer, by their ids: each is serialised once, however often it occurs among `rows`.

    They are in BSON where the template uses it, unless `raw_bson` says otherwise.
    """
    run.loader.budget.add_objects(total_occurrences(len(rows), times))
    by_id, occurrences = distinct_rows([row["_id"] for row in rows], rows, times)
    uses_bson = template.uses_raw_bson if raw_bson is None else raw_bson
    texts = await render_rows(run, template, list(by_id.values()), occurrences, raw_bson=uses_bson)
    return dict(zip(by_id, texts, strict=True))


async def render_row_lists(
    run: PlanRun, template: RowTemplate, lists: Sequence[Sequence[Row]], times: Occurrences
) -> list[Any]:
    """Lists of rows as text of the answer. The rows are made, and their nested fields are read, LIST_ROWS at a time."""
    budget = run.loader.budget
    counts = times or [1] * len(lists)
    budget.add_objects(sum(map(mul, map(len, lists), counts)))
    pieces: list[list[bytes]] = [[] for _ in lists]
    for parts in _chunks(lists):
        rows = list(chain.from_iterable(members for _, members in parts))
        occurrences = None if times is None else [times[number] for number, members in parts for _ in members]
        columns = await read_nested_fields(run.beside_others(), template, rows, occurrences)
        start = 0
        for number, members in parts:
            async for batch in event_loop.batches(members):
                values = [column[start : start + len(batch)] for column in columns]
                start += len(batch)
                piece = json_output.dump_members(template.build(batch, *values))
                # The text of nested fields has been counted already.
                nested = sum(sum(map(len, [value for value in column if type(value) is bytes])) for column in values)
                budget.add_bytes(counts[number] * (len(piece) - nested))
                pieces[number].append(piece)
    # Brackets, and commas between the pieces.
    budget.add_bytes(sum(count * (1 + max(1, len(of_list))) for of_list, count in zip(pieces, counts, strict=True)))
    if times is None and run.keeps_objects:
        return [json_output.list_in_pieces(of_list) for of_list in pieces]
    return [json_output.dump_list(of_list) for of_list in pieces]


def _chunks(lists: Sequence[Sequence[Row]]) -> Iterator[list[tuple[int, list[Row]]]]:
    """Parts of lists, each with the number of its list, in chunks of at most LIST_ROWS rows."""
    chunk: list[tuple[int, list[Row]]] = []
    room = LIST_ROWS
    for number, members in enumerate(lists):
        start = 0
        while start < len(members):
            part = list(members[start : start + room])
            start, room = start + len(part), room - len(part)
            chunk.append((number, part))
            if not room:
                yield chunk
                chunk, room = [], LIST_ROWS
    if chunk:
        yield chunk


def render_lists(run: PlanRun, lists: list[list[bytes]], times: Occurrences) -> list[bytes]:
    """Lists of texts, as text of the answer."""
    # Brackets, and commas between the members.
    sizes = [1 + max(1, len(members)) for members in lists]
    run.loader.budget.add_bytes(sum(sizes) if times is None else sum(map(mul, sizes, times)))
    return [json_output.dump_list(members) for members in lists]


async def gather_all(*reads: Awaitable[Any]) -> list[Any]:
    """The results of all reads. When one fails, the others are awaited, so that none outlives its plan."""
    results = await asyncio.gather(*reads, return_exceptions=True)
    error = next((result for result in results if isinstance(result, BaseException)), None)
    if error is None:
        return results
    try:
        raise error
    finally:
        # Otherwise its traceback and this frame refer to each other, which keeps everything read until it is collected.
        del results, error


@dataclass
class NestedToOne(NestedField):
    """The one row that each row links to, if any."""

    link: ToOne | ToOneBy
    template: RowTemplate
    required: bool
    arguments: Arguments
    argument: str | None = None

    async def read(self, run: PlanRun, rows: list[Row], times: Occurrences) -> list[Any]:
        fields, raw_bson, viewer = self.template.fields, self.template.uses_raw_bson, run.loader.viewer
        linked: list[Row | None]
        if isinstance(self.link, ToOne):
            linked = await lookups.linked_rows(self.link, rows, fields, viewer, raw_bson=raw_bson)
        else:
            value = self.arguments(run)[self.argument or ""]
            linked = await lookups.one_by(self.link, value, rows, fields, viewer, raw_bson=raw_bson)
        texts = await render_distinct(run, self.template, *present_rows(linked, times))
        if self.required and None in linked:
            raise FallbackToReference("a link that may not be null leads nowhere")
        return [None if row is None else texts[row["_id"]] for row in linked]


@dataclass
class NestedToMany(NestedField):
    """The short list of rows that each row links to."""

    link: ToManyByIds | ToManyContaining
    template: RowTemplate
    is_text = True

    async def read(self, run: PlanRun, rows: list[Row], times: Occurrences) -> list[Any]:
        fields, raw_bson, viewer = self.template.fields, self.template.uses_raw_bson, run.loader.viewer
        if isinstance(self.link, ToManyByIds):
            lists = await lookups.by_id_lists(self.link, rows, fields, viewer, raw_bson=raw_bson)
        else:
            lists = await lookups.rows_containing(self.link, rows, fields, viewer, raw_bson=raw_bson)
        texts = await render_distinct(run, self.template, list(chain.from_iterable(lists)), member_times(lists, times))
        return render_lists(run, [[texts[row["_id"]] for row in members] for members in lists], times)


@dataclass
class RootLookup(NestedField):
    """A root field: the row with the arguments' values of a unique key."""

    field_source: LookupField
    template: RowTemplate
    arguments: Arguments
    only_variable: tuple[str, str] | None = None
    """The Python name of its only argument, and the name of the variable that is its value; None for other fields."""
    keeps_objects = True

    async def read(self, run: PlanRun, rows: list[Row], times: Occurrences) -> list[Any]:
        key = dict(self.field_source.key(self.arguments(run)))
        row = await lookups.by_key(self.field_source.document, key, self.template.fields, run.loader.viewer)
        if row is None:
            return [None]
        run.loader.budget.add_objects(1)
        return await render_rows(run, self.template, [row], times)


@dataclass
class RootNodes(NestedField):
    """A root field: rows of any kind by their ids."""

    ids: Callable[[PlanRun], list[str]]
    template_of: Callable[[str], RowTemplate]
    """The template for a kind of document."""
    is_list: bool
    keeps_objects = True

    async def read(self, run: PlanRun, rows: list[Row], times: Occurrences) -> list[Any]:
        ids = self.ids(run)
        groups = await gather_all(
            *(self._render(document, its_ids, run) for document, its_ids in self.ids_by_document(run).items())
        )
        texts = {id: text for group in groups for id, text in group.items()}
        return [[texts.get(id) for id in ids]] if self.is_list else [texts.get(ids[0])]

    def ids_by_document(self, run: PlanRun) -> dict[Any, list[str]]:
        """The requested ids by kind of document, with duplicates."""
        groups: dict[Any, list[str]] = {}
        for id in self.ids(run):
            if (document := node_document(id)) is not None:
                groups.setdefault(document, []).append(id)
        return groups

    async def _render(self, document: Any, ids: list[str], run: PlanRun) -> dict[str, bytes]:
        template = self.template_of(document.kind)
        rows = await lookups.by_ids(document, ids, template.fields, run.loader.viewer, raw_bson=template.uses_raw_bson)
        texts = await render_distinct(run, template, [rows[id] for id in ids if id in rows], None)
        # A merge may have replaced the row of an id by another.
        return {id: texts[row["_id"]] for id, row in rows.items()}


@dataclass
class NestedComputed(NestedField):
    """Values that a function computes for all rows."""

    compute: Compute
    arguments: Arguments
    serialize: Callable[[list[Any]], list[Any]] | None
    template: RowTemplate | None = None
    """The template of values that are rows, or lists of rows."""
    selection: Callable[[PlanRun], NodeSelection] | None = None
    """The selection of the objects of any kind that the function finds; None for functions that find none."""
    found: "HeldNodes | None" = None
    """Shows the objects where the values are their rows."""
    keeps_objects = True

    async def read(self, run: PlanRun, rows: list[Row], times: Occurrences) -> list[Any]:
        arguments = self.arguments(run)
        if self.selection is not None:
            arguments = arguments | {"fields_of": self.selection(run)}
        values: Any = self.compute(rows, run.loader.viewer, **arguments)
        if inspect.isawaitable(values):
            values = await values
        if self.found is not None:
            return await self.found.read(run.beside_others(), [{self.found.path: value} for value in values], times)
        if self.template is not None:
            return await self._render(run, list(values), times)
        return self.serialize(list(values)) if self.serialize else list(values)

    async def _render(self, run: PlanRun, values: list[Any], times: Occurrences) -> list[Any]:
        assert self.template is not None
        if any(isinstance(value, Sequence) for value in values):
            lists = [value or [] for value in values]
            texts = await render_row_lists(run, self.template, lists, times)
            return [None if value is None else text for value, text in zip(values, texts, strict=True)]
        rows = [value for value in values if value is not None]
        occurrences = member_times([[] if value is None else [value] for value in values], times)
        run.loader.budget.add_objects(total_occurrences(len(rows), occurrences))
        found = iter(await render_rows(run, self.template, rows, occurrences))
        return [None if value is None else next(found) for value in values]


@dataclass
class HeldNodes(NestedField):
    """Objects of any kind whose rows each row holds."""

    path: str
    template_of: Callable[[str], RowTemplate]
    """The template for a kind of document."""
    is_list: bool

    async def read(self, run: PlanRun, rows: list[Row], times: Occurrences) -> list[Any]:
        is_nested = "." in self.path
        held: list[Any] = [value_at(row, self.path) if is_nested else row.get(self.path) for row in rows]
        if self.is_list:
            texts = iter(await self._render(run, list(chain.from_iterable(held)), member_times(held, times)))
            return render_lists(run, [[next(texts) for _ in members] for members in held], times)
        texts = iter(await self._render(run, *present_rows(held, times)))
        return [None if row is None else next(texts) for row in held]

    async def _render(self, run: PlanRun, rows: list[Row], times: Occurrences) -> list[bytes]:
        """The text of each row, by the template of its kind."""
        ids = [row["_id"] for row in rows]
        places: defaultdict[tuple[str, type], list[int]] = defaultdict(list)
        for place, (id, row) in enumerate(zip(ids, rows, strict=True)):
            places[id.partition("_")[0], type(row)].append(place)
        groups = await gather_all(
            *(
                render_distinct(
                    run,
                    self.template_of(kind),
                    [rows[place] for place in of_kind],
                    times and [times[place] for place in of_kind],
                    raw_bson=not issubclass(type_, dict),
                )
                for (kind, type_), of_kind in places.items()
            )
        )
        texts = {id: text for group in groups for id, text in group.items()}
        return [texts[id] for id in ids]


def held_nodes(template: RowTemplate) -> Iterator[HeldNodes]:
    """The nested fields that show objects whose rows are found while a field with this template is computed."""
    for nested_field in template.nested_fields:
        if isinstance(nested_field, HeldNodes):
            yield nested_field
        elif isinstance(nested_field, NestedComputed) and nested_field.template and nested_field.selection is None:
            yield from held_nodes(nested_field.template)
