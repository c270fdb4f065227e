"""A plan in words: for each level the collection, the filter, and how its rows become pages.

Nothing is read, so no database is needed. Filters are those of a find for the given viewer.
"""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from graph.engine.plan.nested_pages import Pages
from graph.engine.plan.nested_reads import Keyed, NestedField, Nodes, Run, Several, Single, Values
from graph.engine.plan.row_codegen import RowTemplate
from resolvers.access.policies import readable
from resolvers.filters import InSubquery, all_of, equals
from resolvers.reads.children import SINGLE_FIND_LIMIT
from resolvers.reads.order import ASCENDING, Order
from resolvers.reads.page import COUNT_CAP, PageRequest
from resolvers.reads.relations import Document, Every, Gathered, Listed, Many, One, Picked, Referring

PARENTS = "ids of the rows above"


@dataclass
class Read:
    """One read of a plan: a round trip, or a function. `below` are the shapes of the rows it returns."""

    what: str
    facts: dict[str, str] = field(default_factory=dict)
    below: list[RowTemplate] = field(default_factory=list)


def explained(shape: RowTemplate, run: Run) -> Iterator[str]:
    """The lines of a plan, as a tree. Raises the plan's errors for the same arguments."""
    yield shape.type_name
    yield from _levels([shape], run, "")


def _levels(shapes: list[RowTemplate], run: Run, indent: str) -> Iterator[str]:
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


def _reads(column: NestedField, run: Run) -> list[Read]:
    viewer = run.reader.viewer
    match column:
        case Pages():
            return _of_pages(column, run)
        case Single(link=One() as link):
            return [_find(link.document, "_id", f"what {link.via} names", [column.shape], run)]
        case Single(link=Picked() as link):
            asked = equals(link.by, column.arguments(run)[column.argument or ""])
            return [_find(link.document, link.via, PARENTS, [column.shape], run, asked)]
        case Several(link=Listed() as link):
            return [_find(link.document, "_id", f"what {link.via} lists", [column.shape], run)]
        case Several(link=Referring() as link):
            return [_find(link.document, link.via, PARENTS, [column.shape], run, order=link.order)]
        case Keyed(declared=declared):
            ((path, value), *others) = declared.key(column.arguments(run))
            asked = all_of(equals(*other) for other in others)
            return [_find(declared.document, path, orjson.dumps(value).decode(), [column.shape], run, asked)]
        case Nodes():
            found = (
                (document, column.shape_of(document.kind), ids) for document, ids in column.ids_by_document(run).items()
            )
            return [
                _find(document, "_id", _json(list(dict.fromkeys(ids))), [shape], run) for document, shape, ids in found
            ]
        case Values():
            way = "reading for all rows at once" if inspect.iscoroutinefunction(column.compute) else "without reading"
            needs = f"{column.compute.__module__}.{column.compute.__name__}, {way}"
            return [Read(f"computed by {needs}", {}, [column.shape] if column.shape else [])]
    raise TypeError(f"{type(column).__name__} for {viewer} cannot be explained")


def _find(
    document: Document,
    path: str,
    values: str,
    shapes: list[RowTemplate],
    run: Run,
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


def _of_pages(column: Pages, run: Run) -> list[Read]:
    link = column.link(run)
    window = column.constant or column.declared.window(column.arguments(run))
    follows = isinstance(link, Many) and link.follows
    counted = all_of([{} if follows else readable(link.document, run.reader.viewer), window.filter])
    name = link.document.collection_name()
    by = {"by": _place(link)} if not isinstance(link, Every) else {}
    reads = []
    if column.shown.paged:
        order = window.reading_order
        facts = by | {
            "filter": _json(all_of([counted, *window.bounds()])),
            "fields": _fields(column.shown.shapes, *order.paths, *([link.via] if isinstance(link, Many) else [])),
            "order": _order(order),
            "page": _method(link, window),
        }
        reads.append(Read(f"pages of {name}", facts, column.shown.shapes))
    if column.shown.counted:
        method = {Every: "one count", Many: "one aggregation for all", Gathered: "one find for all"}[type(link)]
        facts = by | {"filter": _json(counted), "count": f"{method}, null beyond {COUNT_CAP:,}"}
        reads.append(Read(f"counts of {name}", facts))
    return reads


def _place(link: Many | Gathered) -> str:
    if isinstance(link, Gathered):
        return f"_id in what {link.via} lists"
    return f"{link.via} in {PARENTS if link.of == '_id' else f'what {link.of} names'}"


def _method(link: Many | Gathered | Every, window: PageRequest) -> str:
    size = f"{'last' if window.backwards else 'first'} {window.size} and one more"
    match link:
        case Every():
            return f"{size}: {'one find' if window.reading_order.is_natural else 'one aggregation'}"
        case Gathered():
            return f"{size} for each: one find for all, sorted and cut here"
    # With several parents all children are read, up to a bound that `children.stream_groups` explains.
    return f"{size} for each: one find for all, one aggregation beyond {SINGLE_FIND_LIMIT:,} rows"


def _fields(shapes: list[RowTemplate], *more: str) -> str:
    return ", ".join(sorted({"_id"}.union(more, *(shape.needs for shape in shapes))))


def _order(order: Order) -> str:
    return ", ".join(f"{key.path} {'up' if key.direction == ASCENDING else 'down'}" for key in order.keys)


def _json(value: Any) -> str:
    return orjson.dumps(value, default=_shown, option=orjson.OPT_PASSTHROUGH_DATACLASS).decode()


def _shown(value: Any) -> str:
    if isinstance(value, InSubquery):
        looked_up = f"{value.path} of {value.document.collection_name()} where {_json(value.filter)}"
        return f"one find before: {looked_up}{', as far as they may be read' if value.apply_policy else ''}"
    return str(value)
