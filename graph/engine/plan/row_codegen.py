"""Code generation for rows: a dictionary literal, generated once and compiled to bytecode.

A template for steps with outputs below may be compiled to

    def build(rows, c0):
        return [{"key": z if (z := r["key"]).__class__ is str else g0(z), "inputs": json_fragment(r.get("inputs")),
                 "outputs": v0} for r, v0 in zip(rows, c0, strict=True)]

so that an object costs one literal, and nothing is looked up by name that could be written into the code. `r` is a row,
`z` and `y` hold a value and a member of a list while they are checked, `g0` is a constant of the template, and `c0` is
the column of a nested field, with one value, `v0`, for each row.

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
from graph.core.scalars import serialize_big_int, serialize_datetime
from graph.engine.plan.bson_script import BsonScript
from graph.engine.plan.json_output import dump_rows, dumps
from graph.engine.plan.occurrences import Occurrences
from graph.errors import Overloaded
from resolvers.reads.answer_budget import AnswerBudget, AnswerTooLarge

if TYPE_CHECKING:
    from graph.engine.plan.nested_reads import NestedField
    from resolvers.reads.loaders import RequestLoader

log = structlog.stdlib.get_logger("graph.plan")

Row = dict[str, Any]
Build = Callable[..., list[Any]]
Show = Callable[[str], str]
"""From code for a stored value to code for the value in the answer."""

EMPTY: Row = {}
ROOT: Row = {"_id": ""}
"""The only row of an operation's root type."""


class FallbackToReference(Exception):
    """The standard executor must answer: a value is missing, or a field has an error."""


def fall_back(error: Exception, loader: RequestLoader) -> None:
    """Leave an answer to the standard executor, which meets the error again and reports it to the client.

    Raises AnswerTooLarge and Overloaded again, which end the request.
    """
    if isinstance(error, AnswerTooLarge | Overloaded):
        raise error
    log.debug("a plan fell back to the standard executor", reason=str(error)[:200])
    loader.budget.reset()


class UnsupportedByPlan(Exception):
    """A selection for which there is no plan."""


def require_not_null(value: Any) -> Any:
    """The value. Raises FallbackToReference for null."""
    if value is None:
        raise FallbackToReference("a value is missing")
    return value


def value_or_default(value: Any, default: Any) -> Any:
    """A value, or its default where the document has none."""
    return default if value is None else value


def json_fragment(value: Any) -> Any:
    """Stored JSON text, which is written unchanged."""
    return None if value is None else orjson.Fragment(value)


def bigint_text(value: Any) -> str | None:
    """An integer as the BigInt scalar writes it."""
    return None if value is None else serialize_big_int(value)


def require_list(value: Any) -> list[Any]:
    """The list. Raises FallbackToReference for null and any other value."""
    if type(value) is not list:
        raise FallbackToReference("a list is missing, or is not a list")
    return value


PLAIN_VALUE_CHECKS = {
    "String": "(z := {}).__class__ is str",
    "ID": "(z := {}).__class__ is str",
    "Boolean": "(z := {}).__class__ is bool",
    "Int": f"(z := {{}}).__class__ is int and {GRAPHQL_MIN_INT} <= z <= {GRAPHQL_MAX_INT}",
    "Float": "(z := {}) is ...",
}
"""Checks for values that are copied into the answer unchanged. GraphQL serialises all others, or raises."""
SERIALIZERS = {"JSON": "json_fragment", "BigInt": "bigint_text"}
GLOBALS: dict[str, Any] = {
    "require_not_null": require_not_null,
    "require_list": require_list,
    "value_or_default": value_or_default,
    "serialize_datetime": serialize_datetime,
    "json_fragment": json_fragment,
    "bigint_text": bigint_text,
    "zip": zip,
    "EMPTY": EMPTY,
}


@dataclass
class RowTemplate:
    """The template of rows of one type in the answer: the stored fields that it needs, and its nested fields."""

    type_name: str
    required_paths: set[str] = field(default_factory=lambda: {"_id"})
    nested_fields: list[NestedField] = field(default_factory=list)
    response_names: list[str] = field(default_factory=list)
    """The response names of the nested fields."""
    constants: dict[str, Any] = field(default_factory=dict)
    """Values that the generated code uses, by their names in it."""
    build: Build = field(default=lambda rows: rows, repr=False)
    source: str = ""
    script: BsonScript = field(default_factory=BsonScript, repr=False)

    @cached_property
    def fields(self) -> frozenset[str]:
        """All stored fields that it needs, once it is compiled."""
        return frozenset(self.required_paths)

    @cached_property
    def writer(self) -> raw.Writer | None:
        """The writer of rows in BSON, None for rows that must be dictionaries."""
        return self.script.writer() if not any("." in path for path in self.required_paths) else None

    @property
    def uses_raw_bson(self) -> bool:
        """Whether its rows are read as BSON and written from it."""
        return self.writer is not None

    def texts(
        self, rows: list[Any], columns: list[list[Any]], times: Occurrences, budget: AnswerBudget, *, raw_bson: bool
    ) -> tuple[list[bytes], int]:
        """Each row as JSON, and the bytes of all, counted as often as they occur. Raises AnswerTooLarge."""
        if raw_bson:
            assert self.writer is not None
            try:
                texts, size, own_size = self.writer.write(rows, columns, times, budget.bytes_left)
            except ValueError:
                # A value is not of its plain type: the compiled function serialises it, or fails.
                rows = raw.decode_rows(rows)
            else:
                budget.add_bytes(own_size)
                return texts, size
        return dump_rows(self.build(rows, *columns), columns, times, budget)

    def add_nested_field(self, response_name: str, nested_field: NestedField) -> str:
        """Add a nested field; returns the name of the variable that holds its value for a row."""
        self.nested_fields.append(nested_field)
        self.response_names.append(response_name)
        self.script.add_column()
        return f"v{len(self.nested_fields) - 1}"

    def add_constant(self, value: Any) -> str:
        """Add a value that the generated code uses; returns its name there."""
        name = f"g{len(self.constants)}"
        self.constants[name] = value
        return name

    def compile(self, literal: str) -> RowTemplate:
        """Compile the function that makes the answer's objects from rows and columns."""
        numbers = range(len(self.nested_fields))
        parameters = ", ".join(["rows", *(f"c{n}" for n in numbers)])
        if self.nested_fields:
            loop = f"r, {', '.join(f'v{n}' for n in numbers)} in zip({parameters}, strict=True)"
        else:
            loop = "r in rows"
        self.source = f"def build({parameters}):\n    return [{literal} for {loop}]"
        self.build = self._compile_source("build")
        return self

    def compile_embedded(self, literal: str) -> Callable[[Row], Any]:
        """Compile the function that shows one embedded object."""
        if self.nested_fields:
            raise UnsupportedByPlan(f"{self.type_name} is embedded and links to others")
        self.source = f"def embedded(r):\n    return {literal}"
        return self._compile_source("embedded")

    def _compile_source(self, name: str) -> Callable[..., Any]:
        scope = GLOBALS | self.constants
        exec(compile(self.source, f"<plan of {self.type_name}>", "exec"), scope)
        # Removed from the globals, since a function and its globals would keep each other alive when the plan is
        # dropped.
        function: Callable[..., Any] = scope.pop(name)
        return function


def stored_value_code(template: RowTemplate, path: str, type_: GraphQLOutputType, default: Any, show: Show) -> str:
    """Code for the value at a stored path of the row. `show` returns code that shows one embedded object."""
    template.required_paths.add(path)
    *outer, last = path.split(".")
    holder = "r"
    for part in outer:
        holder = f"({holder}.get({part!r}) or EMPTY)"
    value = f"{holder}.get({last!r})"
    if isinstance(type_, GraphQLNonNull) and default is None and not outer:
        # A missing value raises KeyError, upon which the plan falls back.
        value = f"r[{last!r}]"
    if default is not None:
        # Calls cost more than their work does here; but a comprehension's iterable may not contain an assignment.
        code = "value_or_default({}, {})" if default.__class__ is list else "(z if (z := {}) is not None else {})"
        value = code.format(value, template.add_constant(default))
    code = value_code(template, value, type_, show)
    template.script.add_value(path, type_, lambda: _missing_value_text(template, code))
    return code


def _missing_value_text(template: RowTemplate, code: str) -> bytes | None:
    """The text of a missing value; None when that is left to the standard executor."""
    try:
        return dumps(eval(code, GLOBALS | template.constants, {"r": EMPTY}))
    except (FallbackToReference, KeyError, TypeError, AttributeError, GraphQLError):
        return None


def value_code(template: RowTemplate, value: str, type_: GraphQLOutputType, show: Show) -> str:
    """Code for a value in the answer; a null where none may be makes the plan fall back."""
    required = isinstance(type_, GraphQLNonNull)
    of: Any = get_nullable_type(type_)
    if isinstance(of, GraphQLList):
        inner = value_code(template, "y", of.of_type, show)
        list_code = f"[{inner} for y in require_list({'z' if not required else value})]"
        return list_code if required else f"(None if (z := {value}) is None else {list_code})"
    if isinstance(of, GraphQLObjectType):
        return _object_code(value, show, required)
    if isinstance(of, GraphQLEnumType):
        # A value outside the enum, such as null, raises KeyError, upon which the plan falls back.
        members = {member.value: name for name, member in of.values.items()}
        names = template.add_constant(members | ({} if required else {None: None}))
        return f"{names}[{value}]"
    if not is_leaf_type(of):
        raise UnsupportedByPlan(f"{of} is abstract")
    if of.name == "DateTime":
        return _datetime_code(value, required)
    if (serializer := SERIALIZERS.get(of.name)) is not None:
        return f"{serializer}(require_not_null({value}))" if required else f"{serializer}({value})"
    is_plain = PLAIN_VALUE_CHECKS[of.name].format(value)
    serializer = template.add_constant(_leaf_serializer(of, required))
    return f"(z if {is_plain} {'' if required else 'or z is None '}else {serializer}(z))"


def _datetime_code(value: str, required: bool) -> str:
    # As `serialize_datetime` writes it, but inline, since a call would cost as much as the rest of the object. A value
    # that is no datetime, or is missing, has no zone, upon which the plan falls back.
    code = "z.isoformat('T', 'milliseconds') + 'Z'"
    if required:
        return f"({code} if (z := {value}).tzinfo is None else serialize_datetime(z))"
    return f"(None if (z := {value}) is None else {code} if z.tzinfo is None else serialize_datetime(z))"


def _leaf_serializer(type_: GraphQLLeafType, required: bool) -> Callable[[Any], Any]:
    """GraphQL's own serialisation, for values of other types than the scalar's own; it may raise."""

    def serialize(value: Any) -> Any:
        return type_.coerce_output_value(require_not_null(value) if required else value)

    return serialize


def _object_code(value: str, code: Show, required: bool) -> str:
    if required:
        return code(f"require_not_null({value})")
    return f"(None if (z := {value}) is None else {code('z')})"
