"""Code generation for rows: a dictionary literal, generated once and compiled to bytecode.

A shape over steps with outputs below may read

    def build(rows, c0):
        return [{"key": z if (z := r["key"]).__class__ is str else g0(z), "inputs": text(r.get("inputs")),
                 "outputs": v0} for r, v0 in zip(rows, c0, strict=True)]

so that an object costs one literal, and nothing is looked up by name that could be written into the code. Values read
from other collections come in columns, one value per row.

Where all values are plain, rows need not become dictionaries at all: see `bson_script`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from graphql import (
    GRAPHQL_MAX_INT,
    GRAPHQL_MIN_INT,
    GraphQLEnumType,
    GraphQLError,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    get_nullable_type,
    is_leaf_type,
)

from documents.mongo import raw
from graph.core.scalars import show_big_int, show_datetime
from graph.engine.plan.bson_script import Script
from graph.engine.plan.json_output import dumps, write_rows
from graph.engine.plan.occurrences import Times
from graph.errors import Overloaded
from resolvers.reads.response_budget import AnswerBudget, AnswerTooLarge

if TYPE_CHECKING:
    from graph.engine.plan.nested_reads import NestedField
    from resolvers.reads.loaders import RequestLoader

log = structlog.stdlib.get_logger("graph.plan")

Row = dict[str, Any]
Build = Callable[..., list[Any]]
Show = Callable[[str], str]
"""From code for a stored value to code for its form in the answer."""

EMPTY: Row = {}
ROOT: Row = {"_id": ""}
"""The only row of an operation's root."""


class FallbackToReference(Exception):
    """The standard executor must answer: a value is missing, or a field has an error."""


def step_aside(error: Exception, reader: RequestLoader) -> None:
    """Leave an answer to the standard executor, which meets the error again and reports it to the client.

    Answers that would be too large, or for which there is no room, end with that error.
    """
    if isinstance(error, AnswerTooLarge | Overloaded):
        raise error
    log.debug("a plan stepped aside", reason=str(error)[:200])
    reader.budget.reset()


class NotPlanned(Exception):
    """A selection for which there is no plan."""


def must(value: Any) -> Any:
    """The value, which must not be null."""
    if value is None:
        raise FallbackToReference("a value is missing")
    return value


def either(value: Any, default: Any) -> Any:
    """A value, or its default where the document has none."""
    return default if value is None else value


def text(value: Any) -> Any:
    """Stored JSON text, written unchanged."""
    return None if value is None else orjson.Fragment(value)


def digits(value: Any) -> str | None:
    """An integer as the BigInt scalar writes it."""
    return None if value is None else show_big_int(value)


def items(value: Any) -> list[Any]:
    """The members of a list, which must not be null."""
    if type(value) is not list:
        raise FallbackToReference("a list is missing or is none")
    return value


PLAIN = {
    "String": "(z := {}).__class__ is str",
    "ID": "(z := {}).__class__ is str",
    "Boolean": "(z := {}).__class__ is bool",
    "Int": f"(z := {{}}).__class__ is int and {GRAPHQL_MIN_INT} <= z <= {GRAPHQL_MAX_INT}",
    "Float": "(z := {}) is ...",
}
"""Checks for values that are copied into the answer as they are. GraphQL serialises all others, or raises."""
WRITERS = {"JSON": "text", "BigInt": "digits"}
GLOBALS: dict[str, Any] = {
    "must": must,
    "items": items,
    "either": either,
    "show_datetime": show_datetime,
    "text": text,
    "digits": digits,
    "zip": zip,
    "EMPTY": EMPTY,
}


@dataclass
class RowTemplate:
    """How rows of one collection are shown: the stored fields they need, and their nested columns."""

    type_name: str
    required_paths: set[str] = field(default_factory=lambda: {"_id"})
    columns: list[NestedField] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    """The response names of the columns."""
    names: dict[str, Any] = field(default_factory=dict)
    build: Build = field(default=lambda rows: rows, repr=False)
    source: str = ""
    script: Script = field(default_factory=Script, repr=False)

    @cached_property
    def fields(self) -> frozenset[str]:
        """All stored fields that it needs, once it is finished."""
        return frozenset(self.required_paths)

    @cached_property
    def writer(self) -> raw.Writer | None:
        """The writer of rows in BSON, None when they must be dictionaries."""
        return self.script.writer() if not any("." in path for path in self.required_paths) else None

    @property
    def as_sent(self) -> bool:
        """Whether its rows are read as BSON and written from it."""
        return self.writer is not None

    def texts(
        self, rows: list[Any], columns: list[list[Any]], times: Times, budget: AnswerBudget, *, as_sent: bool
    ) -> tuple[list[bytes], int]:
        """The rows as JSON, and its bytes, counted as often as they occur. Raises AnswerTooLarge."""
        if as_sent:
            assert self.writer is not None
            try:
                texts, size, owned = self.writer.write(rows, columns, times, budget.bytes_left)
            except ValueError:
                # A value is not of its plain type: the function serialises it, or fails.
                rows = raw.decode_rows(rows)
            else:
                budget.add_bytes(owned)
                return texts, size
        return write_rows(self.build(rows, *columns), columns, times, budget)

    def column(self, label: str, column: NestedField) -> str:
        """Add a nested column; returns the name of the variable that holds its value for a row."""
        self.columns.append(column)
        self.labels.append(label)
        self.script.column()
        return f"v{len(self.columns) - 1}"

    def name(self, value: Any) -> str:
        """The name of `value` in the generated code."""
        name = f"g{len(self.names)}"
        self.names[name] = value
        return name

    def finish(self, literal: str) -> RowTemplate:
        """Compile the function that makes the answer's objects from rows and columns."""
        numbers = range(len(self.columns))
        parameters = ", ".join(["rows", *(f"c{n}" for n in numbers)])
        if self.columns:
            loop = f"r, {', '.join(f'v{n}' for n in numbers)} in zip({parameters}, strict=True)"
        else:
            loop = "r in rows"
        self.source = f"def build({parameters}):\n    return [{literal} for {loop}]"
        self.build = self._compiled("build")
        return self

    def finish_one(self, literal: str) -> Callable[[Row], Any]:
        """Compile the function that shows one embedded object."""
        if self.columns:
            raise NotPlanned(f"{self.type_name} is embedded and links to others")
        self.source = f"def one(r):\n    return {literal}"
        return self._compiled("one")

    def _compiled(self, name: str) -> Callable[..., Any]:
        scope = GLOBALS | self.names
        exec(compile(self.source, f"<plan of {self.type_name}>", "exec"), scope)
        # Removed from the globals, since a function and its globals would keep each other alive when the plan is
        # dropped.
        found: Callable[..., Any] = scope.pop(name)
        return found


def stored_value(shape: RowTemplate, path: str, type_: GraphQLOutputType, default: Any, show: Show) -> str:
    """Code for the value at a stored path of the row. `show` returns code that shows one embedded object."""
    shape.required_paths.add(path)
    *outer, last = path.split(".")
    holder = "r"
    for part in outer:
        holder = f"({holder}.get({part!r}) or EMPTY)"
    found = f"{holder}.get({last!r})"
    if isinstance(type_, GraphQLNonNull) and default is None and not outer:
        # A missing value is a KeyError, upon which the plan steps aside.
        found = f"r[{last!r}]"
    if default is not None:
        # Calls cost more than their work does here; but a comprehension's iterable may not contain an assignment.
        code = "either({}, {})" if default.__class__ is list else "(z if (z := {}) is not None else {})"
        found = code.format(found, shape.name(default))
    code = written(shape, found, type_, show)
    shape.script.value(path, type_, lambda: _where_nothing_is(shape, code))
    return code


def _where_nothing_is(shape: RowTemplate, code: str) -> bytes | None:
    """Code for a row without the value; None when that is left to the standard executor."""
    try:
        return dumps(eval(code, GLOBALS | shape.names, {"r": EMPTY}))
    except (FallbackToReference, KeyError, TypeError, AttributeError, GraphQLError):
        return None


def written(shape: RowTemplate, value: str, type_: GraphQLOutputType, show: Show) -> str:
    """Code for a value as the answer shows it: null where it is nullable, otherwise the plan steps aside."""
    required = isinstance(type_, GraphQLNonNull)
    of: Any = get_nullable_type(type_)
    if isinstance(of, GraphQLList):
        inner = written(shape, "y", of.of_type, show)
        listed = f"[{inner} for y in items({'z' if not required else value})]"
        return listed if required else f"(None if (z := {value}) is None else {listed})"
    if isinstance(of, GraphQLObjectType):
        return _of(value, show, required)
    if isinstance(of, GraphQLEnumType):
        # A value outside the enum, null among them, is a KeyError, upon which the plan steps aside.
        names = shape.name({one.value: name for name, one in of.values.items()} | ({} if required else {None: None}))
        return f"{names}[{value}]"
    if not is_leaf_type(of):
        raise NotPlanned(f"{of} is abstract")
    if of.name == "DateTime":
        return _time(value, required)
    if (writer := WRITERS.get(of.name)) is not None:
        return f"{writer}(must({value}))" if required else f"{writer}({value})"
    plain = PLAIN[of.name].format(value)
    return f"(z if {plain} {'' if required else 'or z is None '}else {shape.name(_serialized(of, required))}(z))"


def _time(value: str, required: bool) -> str:
    # As `show_datetime` writes it, but inline, since a call would cost as much as the rest of the object. A value that
    # is no datetime, or is missing, has no zone, upon which the plan steps aside.
    shown = "z.isoformat('T', 'milliseconds') + 'Z'"
    if required:
        return f"({shown} if (z := {value}).tzinfo is None else show_datetime(z))"
    return f"(None if (z := {value}) is None else {shown} if z.tzinfo is None else show_datetime(z))"


def _serialized(type_: GraphQLLeafType, required: bool) -> Callable[[Any], Any]:
    """GraphQL's own serialisation, for values of other types than the scalar's own; it may raise."""

    def serialized(value: Any) -> Any:
        return type_.coerce_output_value(must(value) if required else value)

    return serialized


def _of(value: str, code: Show, required: bool) -> str:
    if required:
        return code(f"must({value})")
    return f"(None if (z := {value}) is None else {code('z')})"
