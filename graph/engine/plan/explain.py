"""Explanations of plans: for each level the collection, the filter, and how its rows become pages.

Nothing is read, so no database is needed. Filters are those of a find for the given viewer.
"""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from graph.engine.plan.nested_pages import NestedPages
from graph.engine.plan.nested_reads import (
    HeldNodes,
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
from resolvers.limits import MAX_COUNTED_ROWS
from resolvers.reads.children import SINGLE_FIND_LIMIT
from resolvers.reads.order import ASCENDING, Order
from resolvers.reads.page_request import PageRequest
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
class ReadStep:
    """One read of a plan: a round trip, or a function."""

    title: str
    facts: dict[str, str] = field(default_factory=dict)
    templates: list[RowTemplate] = field(default_factory=list)
    """The templates of the rows that it returns."""


def explain_lines(template: RowTemplate, run: PlanRun) -> Iterator[str]:
    """The lines of a plan, as a tree. Raises the plan's errors for the same arguments."""
    yield template.type_name
    yield from _level_lines([template], run, "")


def _level_lines(templates: list[RowTemplate], run: PlanRun, indent: str) -> Iterator[str]:
    fields = [
        pair for template in templates for pair in zip(template.response_names, template.nested_fields, strict=True)
    ]
    steps = [(name, step) for name, nested_field in fields for step in _read_steps(nested_field, run)]
    for number, (name, step) in enumerate(steps, 1):
        is_last = number == len(steps)
        yield f"{indent}{'└─' if is_last else '├─'} {name}: {step.title}"
        inner_indent = f"{indent}{'   ' if is_last else '│  '}"
        stem = "│ " if any(template.nested_fields for template in step.templates) else "  "
        for fact, value in step.facts.items():
            yield f"{inner_indent}{stem} {fact:<8}{value}"
        yield from _level_lines(step.templates, run, inner_indent)


def _read_steps(nested_field: NestedField, run: PlanRun) -> list[ReadStep]:
    viewer = run.loader.viewer
    match nested_field:
        case NestedPages():
            return _page_steps(nested_field, run)
        case NestedToOne(link=ToOne() as link):
            return [_find(link.document, "_id", f"what {link.via} names", [nested_field.template], run)]
        case NestedToOne(link=ToOneBy() as link):
            condition = equals(link.by, nested_field.arguments(run)[nested_field.argument or ""])
            return [_find(link.document, link.via, PARENTS, [nested_field.template], run, condition)]
        case NestedToMany(link=ToManyByIds() as link):
            return [_find(link.document, "_id", f"what {link.via} lists", [nested_field.template], run)]
        case NestedToMany(link=ToManyContaining() as link):
            return [_find(link.document, link.via, PARENTS, [nested_field.template], run, order=link.order)]
        case RootLookup(field_source=field_source):
            ((path, value), *others) = field_source.key(nested_field.arguments(run))
            condition = all_of(equals(*pair) for pair in others)
            return [
                _find(
                    field_source.document, path, orjson.dumps(value).decode(), [nested_field.template], run, condition
                )
            ]
        case RootNodes():
            groups = (
                (document, nested_field.template_of(document.kind), ids)
                for document, ids in nested_field.ids_by_document(run).items()
            )
            return [
                _find(document, "_id", _json(list(dict.fromkeys(ids))), [template], run)
                for document, template, ids in groups
            ]
        case HeldNodes():
            return [ReadStep("objects of any kind, whose rows were read above", {})]
        case NestedComputed():
            way = (
                "reading for all rows at once"
                if inspect.iscoroutinefunction(nested_field.compute)
                else "without reading"
            )
            needs = f"{nested_field.compute.__module__}.{nested_field.compute.__name__}, {way}"
            return [ReadStep(f"computed by {needs}", {}, [nested_field.template] if nested_field.template else [])]
    raise TypeError(f"{type(nested_field).__name__} for {viewer} cannot be explained")


def _find(
    document: Document,
    path: str,
    values: str,
    templates: list[RowTemplate],
    run: PlanRun,
    condition: dict[str, Any] | None = None,
    order: Order | None = None,
) -> ReadStep:
    facts = {
        "by": f"{path} in {values}",
        "filter": _json(all_of([condition or {}, readable(document, run.loader.viewer)])),
        "fields": _fields(templates, path, *(order.paths if order else ())),
    }
    if order:
        facts["order"] = _order(order)
    return ReadStep(f"one find in {document.collection_name()}", facts, templates)


def _page_steps(nested_field: NestedPages, run: PlanRun) -> list[ReadStep]:
    link = nested_field.link(run)
    request = nested_field.constant_page or nested_field.field_source.page_request(nested_field.arguments(run))
    has_own_policy = not (isinstance(link, Children) and link.inherits_access)
    match = all_of([readable(link.document, run.loader.viewer) if has_own_policy else {}, request.filter])
    name = link.document.collection_name()
    by = {"by": _place(link)} if not isinstance(link, AllDocuments) else {}
    steps = []
    if nested_field.connection.needs_rows:
        order = request.reading_order
        facts = by | {
            "filter": _json(all_of([match, *request.bounds()])),
            "fields": _fields(
                nested_field.connection.templates, *order.paths, *([link.via] if isinstance(link, Children) else [])
            ),
            "order": _order(order),
            "page": _method(link, request),
        }
        steps.append(ReadStep(f"pages of {name}", facts, nested_field.connection.templates))
    if nested_field.connection.needs_count:
        method = {AllDocuments: "one count", Children: "one aggregation for all", PagedByIds: "one find for all"}[
            type(link)
        ]
        facts = by | {"filter": _json(match), "count": f"{method}, null beyond {MAX_COUNTED_ROWS:,}"}
        steps.append(ReadStep(f"counts of {name}", facts))
    return steps


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


def _fields(templates: list[RowTemplate], *paths: str) -> str:
    return ", ".join(sorted({"_id"}.union(paths, *(template.required_paths for template in templates))))


def _order(order: Order) -> str:
    return ", ".join(f"{key.path} {'up' if key.direction == ASCENDING else 'down'}" for key in order.keys)


def _json(value: Any) -> str:
    return orjson.dumps(value, default=_subquery_text, option=orjson.OPT_PASSTHROUGH_DATACLASS).decode()


def _subquery_text(value: Any) -> str:
    if isinstance(value, InSubquery):
        subquery = f"{value.path} of {value.document.collection_name()} where {_json(value.filter)}"
        return f"one find before: {subquery}{', as far as they may be read' if value.apply_policy else ''}"
    return str(value)
