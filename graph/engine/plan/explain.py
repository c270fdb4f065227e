"""A plan in words: for each level the collection, the filter, and how its rows become pages.

Nothing is read, so no database is needed. Filters are those of a find for the given viewer.
"""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from graph.engine.plan.nested_pages import NestedPages
from graph.engine.plan.nested_reads import (
    NestedComputed,
    NestedField,
    NestedToMany,
    NestedToOne,
    PlanRun,
    RootLookup,
    RootNodes,
)
from graph.engine.plan.row_codegen import RowTemplate
from resolvers.access.policies import readable
from resolvers.filters import InSubquery, all_of, equals
from resolvers.reads.children import SINGLE_FIND_LIMIT
from resolvers.reads.order import ASCENDING, Order
from resolvers.reads.page import COUNT_CAP, PageRequest
from resolvers.reads.relations import (
    AllDocuments,
    Children,
    Document,
    PagedByIds,
    ToManyByIds,
    ToManyContaining,
    ToOne,
    ToOneBy,
)

PARENTS = "ids of the rows above"


@dataclass
class Read:
    """One read of a plan: a round trip, or a function. `below` are the shapes of the rows it returns."""

    what: str
    facts: dict[str, str] = field(default_factory=dict)
    below: list[RowTemplate] = field(default_factory=list)


def explained(shape: RowTemplate, run: PlanRun) -> Iterator[str]:
    """The lines of a plan, as a tree. Raises the plan's errors for the same arguments."""
    yield shape.type_name
    yield from _levels([shape], run, "")


def _levels(shapes: list[RowTemplate], run: PlanRun, indent: str) -> Iterator[str]:
    columns = [pair for shape in shapes for pair in zip(shape.labels, shape.columns, strict=True)]
    reads = [(label, read) for label, column in columns for read in _reads(column, run)]
    for number, (label, read) in enumerate(reads, 1):
        last = number == len(reads)
        yield f"{indent}{'└─' if last else '├─'} {label}: {read.what}"
        below = f"{indent}{'   ' if last else '│  '}"
        stem = "│ " if any(shape.columns for shape in read.below) else "  "
        for name, value in read.facts.items():
            yield f"{below}{stem} {name:<8}{value}"
        yield from _levels(read.below, run, below)


def _reads(column: NestedField, run: PlanRun) -> list[Read]:
    viewer = run.reader.viewer
    match column:
        case NestedPages():
            return _of_pages(column, run)
        case NestedToOne(link=ToOne() as link):
            return [_find(link.document, "_id", f"what {link.via} names", [column.shape], run)]
        case NestedToOne(link=ToOneBy() as link):
            asked = equals(link.by, column.arguments(run)[column.argument or ""])
            return [_find(link.document, link.via, PARENTS, [column.shape], run, asked)]
        case NestedToMany(link=ToManyByIds() as link):
            return [_find(link.document, "_id", f"what {link.via} lists", [column.shape], run)]
        case NestedToMany(link=ToManyContaining() as link):
            return [_find(link.document, link.via, PARENTS, [column.shape], run, order=link.order)]
        case RootLookup(field_source=field_source):
            ((path, value), *others) = field_source.key(column.arguments(run))
            asked = all_of(equals(*other) for other in others)
            return [_find(field_source.document, path, orjson.dumps(value).decode(), [column.shape], run, asked)]
        case RootNodes():
            found = (
                (document, column.shape_of(document.kind), ids) for document, ids in column.ids_by_document(run).items()
            )
            return [
                _find(document, "_id", _json(list(dict.fromkeys(ids))), [shape], run) for document, shape, ids in found
            ]
        case NestedComputed():
            way = "reading for all rows at once" if inspect.iscoroutinefunction(column.compute) else "without reading"
            needs = f"{column.compute.__module__}.{column.compute.__name__}, {way}"
            return [Read(f"computed by {needs}", {}, [column.shape] if column.shape else [])]
    raise TypeError(f"{type(column).__name__} for {viewer} cannot be explained")


def _find(
    document: Document,
    path: str,
    values: str,
    shapes: list[RowTemplate],
    run: PlanRun,
    asked: dict[str, Any] | None = None,
    order: Order | None = None,
) -> Read:
    facts = {
        "by": f"{path} in {values}",
        "filter": _json(all_of([asked or {}, readable(document, run.reader.viewer)])),
        "fields": _fields(shapes, path, *(order.paths if order else ())),
    }
    if order:
        facts["order"] = _order(order)
    return Read(f"one find in {document.collection_name()}", facts, shapes)


def _of_pages(column: NestedPages, run: PlanRun) -> list[Read]:
    link = column.link(run)
    request = column.constant or column.field_source.page_request(column.arguments(run))
    follows = isinstance(link, Children) and link.inherits_access
    counted = all_of([{} if follows else readable(link.document, run.reader.viewer), request.filter])
    name = link.document.collection_name()
    by = {"by": _place(link)} if not isinstance(link, AllDocuments) else {}
    reads = []
    if column.shown.paged:
        order = request.reading_order
        facts = by | {
            "filter": _json(all_of([counted, *request.bounds()])),
            "fields": _fields(column.shown.shapes, *order.paths, *([link.via] if isinstance(link, Children) else [])),
            "order": _order(order),
            "page": _method(link, request),
        }
        reads.append(Read(f"pages of {name}", facts, column.shown.shapes))
    if column.shown.counted:
        method = {AllDocuments: "one count", Children: "one aggregation for all", PagedByIds: "one find for all"}[
            type(link)
        ]
        facts = by | {"filter": _json(counted), "count": f"{method}, null beyond {COUNT_CAP:,}"}
        reads.append(Read(f"counts of {name}", facts))
    return reads


def _place(link: Children | PagedByIds) -> str:
    if isinstance(link, PagedByIds):
        return f"_id in what {link.via} lists"
    return f"{link.via} in {PARENTS if link.of == '_id' else f'what {link.of} names'}"


def _method(link: Children | PagedByIds | AllDocuments, request: PageRequest) -> str:
    size = f"{'last' if request.backwards else 'first'} {request.size} and one more"
    match link:
        case AllDocuments():
            return f"{size}: {'one find' if request.reading_order.uses_mongo_null_order else 'one aggregation'}"
        case PagedByIds():
            return f"{size} for each: one find for all, sorted and cut here"
    # With several parents all children are read, up to a bound that `children.stream_groups` explains.
    return f"{size} for each: one find for all, one aggregation beyond {SINGLE_FIND_LIMIT:,} rows"


def _fields(shapes: list[RowTemplate], *more: str) -> str:
    return ", ".join(sorted({"_id"}.union(more, *(shape.required_paths for shape in shapes))))


def _order(order: Order) -> str:
    return ", ".join(f"{key.path} {'up' if key.direction == ASCENDING else 'down'}" for key in order.keys)


def _json(value: Any) -> str:
    return orjson.dumps(value, default=_shown, option=orjson.OPT_PASSTHROUGH_DATACLASS).decode()


def _shown(value: Any) -> str:
    if isinstance(value, InSubquery):
        looked_up = f"{value.path} of {value.document.collection_name()} where {_json(value.filter)}"
        return f"one find before: {looked_up}{', as far as they may be read' if value.apply_policy else ''}"
    return str(value)
