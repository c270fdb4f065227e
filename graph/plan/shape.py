"""What a row becomes in the answer: a dictionary literal, generated once and compiled to bytecode.

A shape over steps with outputs below may read

    def build(rows, c0):
        return [{"key": z if (z := r["key"]).__class__ is str else g0(z), "inputs": text(r.get("inputs")),
                 "outputs": v0} for r, v0 in zip(rows, c0, strict=True)]

so that an object costs one literal, and nothing is looked up by name that could be written into the code. What is read
from further collections stands beside the rows in columns, one value a row.

Where all values are plain ones, rows need not become dictionaries at all: see `script`.
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

from documents import raw
from graph.plan.script import Script
from graph.plan.text import dumps
from graph.scalars import show_big_int, show_datetime

if TYPE_CHECKING:
    from graph.plan.columns import Column
    from resolvers.reader import Reader

log = structlog.stdlib.get_logger("graph.plan")

Row = dict[str, Any]
Build = Callable[..., list[Any]]
Show = Callable[[str], str]
"""From code for a stored value to code for what is shown of it."""

EMPTY: Row = {}
ROOT: Row = {"_id": ""}
"""Stands for the root of an operation."""


class StepAside(Exception):
    """Something that the standard executor must answer: a missing value, an error in a field."""


def step_aside(error: Exception, reader: Reader, spent: int) -> None:
    """Leave an answer to the standard executor, which meets the error again and knows how to tell the client.

    What it reads is counted from `spent` on.
    """
    log.debug("a plan stepped aside", reason=str(error)[:200])
    reader.budget.spent = spent


class NotPlanned(Exception):
    """A selection for which there is no plan."""


def must(value: Any) -> Any:
    """A value that may not be null."""
    if value is None:
        raise StepAside("a value is missing")
    return value


def either(value: Any, default: Any) -> Any:
    """A value, or what stands for it where the document has none."""
    return default if value is None else value


def text(value: Any) -> Any:
    """Text kept as JSON, to be written as it is."""
    return None if value is None else orjson.Fragment(value)


def digits(value: Any) -> str | None:
    """An integer as the BigInt scalar writes it."""
    return None if value is None else show_big_int(value)


def items(value: Any) -> list[Any]:
    """The members of a list that may not be null."""
    if type(value) is not list:
        raise StepAside("a list is missing or is none")
    return value


PLAIN = {
    "String": "(z := {}).__class__ is str",
    "ID": "(z := {}).__class__ is str",
    "Boolean": "(z := {}).__class__ is bool",
    "Int": f"(z := {{}}).__class__ is int and {GRAPHQL_MIN_INT} <= z <= {GRAPHQL_MAX_INT}",
    "Float": "(z := {}) is ...",
}
"""When a value goes into the answer as it is. All others are written as GraphQL writes them, or are errors."""
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
class Shape:
    """How rows of one collection are shown: which stored fields they need, which columns stand beside them."""

    type_name: str
    needs: set[str] = field(default_factory=lambda: {"_id"})
    columns: list[Column] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    """The names that the columns have in the answer."""
    names: dict[str, Any] = field(default_factory=dict)
    build: Build = field(default=lambda rows: rows, repr=False)
    source: str = ""
    script: Script = field(default_factory=Script, repr=False)

    @cached_property
    def fields(self) -> frozenset[str]:
        """All that it needs, once it is made."""
        return frozenset(self.needs)

    @cached_property
    def writer(self) -> raw.Writer | None:
        """What writes rows as the database sent them, None when they must come as dictionaries."""
        return self.script.writer() if not any("." in path for path in self.needs) else None

    def texts(self, rows: list[Any], *columns: list[Any]) -> list[bytes]:
        """The rows, as the database sent them, as JSON."""
        assert self.writer is not None
        try:
            return self.writer.write(rows, *columns)
        except ValueError:
            # A value is not of the plain type that it should have: the function knows what to make of it.
            return [dumps(one) for one in self.build(raw.dictionaries(rows), *columns)]

    def column(self, label: str, column: Column) -> str:
        """Place a column beside the rows; the variable that holds its value for a row."""
        self.columns.append(column)
        self.labels.append(label)
        self.script.column()
        return f"v{len(self.columns) - 1}"

    def name(self, value: Any) -> str:
        """A name by which the generated code finds `value`."""
        name = f"g{len(self.names)}"
        self.names[name] = value
        return name

    def finish(self, literal: str) -> Shape:
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
        found: Callable[..., Any] = scope[name]
        return found


def stored_value(shape: Shape, path: str, type_: GraphQLOutputType, default: Any, show: Show) -> str:
    """Code for what stands at a stored path of the row. `show` gives code that shows one embedded object."""
    shape.needs.add(path)
    *outer, last = path.split(".")
    holder = "r"
    for part in outer:
        holder = f"({holder}.get({part!r}) or EMPTY)"
    found = f"{holder}.get({last!r})"
    if isinstance(type_, GraphQLNonNull) and default is None and not outer:
        # What is missing is a KeyError, upon which the plan steps aside.
        found = f"r[{last!r}]"
    if default is not None:
        # Calls cost more than what they do; but what a comprehension runs over may not assign.
        code = "either({}, {})" if default.__class__ is list else "(z if (z := {}) is not None else {})"
        found = code.format(found, shape.name(default))
    code = written(shape, found, type_, show)
    shape.script.value(path, type_, lambda: _where_nothing_is(shape, code))
    return code


def _where_nothing_is(shape: Shape, code: str) -> bytes | None:
    """What the code shows of a row that holds nothing; None when that is left to the standard executor."""
    try:
        return dumps(eval(code, GLOBALS | shape.names, {"r": EMPTY}))
    except (StepAside, KeyError, TypeError, AttributeError, GraphQLError):
        return None


def written(shape: Shape, value: str, type_: GraphQLOutputType, show: Show) -> str:
    """Code for a value as the answer shows it: null where it may be, aside where it may not."""
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
    # As `show_datetime` writes it, without the call, which would cost as much as all else of an object. What is no
    # datetime, or missing, has no zone, upon which the plan steps aside.
    shown = "z.isoformat('T', 'milliseconds') + 'Z'"
    if required:
        return f"({shown} if (z := {value}).tzinfo is None else show_datetime(z))"
    return f"(None if (z := {value}) is None else {shown} if z.tzinfo is None else show_datetime(z))"


def _serialized(type_: GraphQLLeafType, required: bool) -> Callable[[Any], Any]:
    """Values of other types than a scalar's own as GraphQL writes them. Raises where it would."""

    def serialized(value: Any) -> Any:
        return type_.coerce_output_value(must(value) if required else value)

    return serialized


def _of(value: str, code: Show, required: bool) -> str:
    if required:
        return code(f"must({value})")
    return f"(None if (z := {value}) is None else {code('z')})"
