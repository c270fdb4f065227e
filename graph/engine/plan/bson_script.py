"""Scripts for rows in BSON: constant text, and values that are copied between.

The script of steps with outputs below may read

    {"key":<text at key>,"startedAt":<time at start_timestamp, else null>,"outputs":<column 0>}

and accompanies the function that a shape compiles for dictionaries. Only top-level values of plain types are written by
a script; a row with any other value is left to that function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLOutputType,
    get_nullable_type,
    is_leaf_type,
)

from documents.mongo import raw
from graph.engine.plan import json_output

SHOWN = {
    "String": "text",
    "ID": "text",
    "Boolean": "boolean",
    "Int": "int",
    "Float": "float",
    "DateTime": "time",
    "BigInt": "digits",
    "JSON": "json",
}
"""How the values of scalars are written."""


class Script:
    """A script, put together member by member in the order of the answer."""

    def __init__(self) -> None:
        self._members: list[raw.Member] = []
        self._fields: list[str] = []
        self._columns = 0
        self._said = ""
        self._is_plain = raw.COMPILED

    def say(self, said: str) -> None:
        """Add constant text."""
        self._said += said

    def value(self, path: str, type_: GraphQLOutputType, missing: Callable[[], bytes | None]) -> None:
        """Add the value at a stored path; `missing` is written when it is absent, None when it must not be."""
        listed, missing_item = False, None
        of: Any = get_nullable_type(type_)
        if isinstance(of, GraphQLList):
            listed, missing_item = True, None if isinstance(of.of_type, GraphQLNonNull) else b"null"
            of = get_nullable_type(of.of_type)
        shown = _shown(of)
        if not self._is_plain or shown is None or "." in path:
            return self.leave()
        if path not in self._fields:
            self._fields.append(path)
        self._add(
            shown,
            self._fields.index(path),
            missing=missing(),
            listed=listed,
            missing_item=missing_item,
            names=_names(of) if isinstance(of, GraphQLEnumType) else None,
        )

    def column(self) -> None:
        """Add the value of the next column."""
        if self._is_plain:
            self._add("column", self._columns)
        self._columns += 1

    def leave(self) -> None:
        """Leave all rows to the function, because some value cannot be written by a script."""
        self._is_plain = False

    def writer(self) -> raw.Writer | None:
        """The writer of rows by this script, None when the function has to show them."""
        if not self._is_plain:
            return None
        return raw.Writer(
            [*self._members, raw.Member(self._said.encode(), "constant")], self._fields, json_output.dumps
        )

    def _add(self, shown: str, place: int, **options: Any) -> None:
        self._members.append(raw.Member(self._said.encode(), shown, place, **options))
        self._said = ""


def _shown(type_: Any) -> str | None:
    if isinstance(type_, GraphQLEnumType):
        return "name"
    return SHOWN.get(type_.name) if is_leaf_type(type_) else None


def _names(type_: GraphQLEnumType) -> dict[str, bytes]:
    return {one.value: json_output.dumps(name) for name, one in type_.values.items()}
