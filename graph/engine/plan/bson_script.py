"""Scripts for rows in BSON: constant text, and values that are copied between.

The script for steps with outputs below may read

    {"key":<text at key>,"startedAt":<time at start_timestamp, else null>,"outputs":<column 0>}

and accompanies the function that a template compiles for dictionaries. A script writes only top-level values of plain
types; a row with any other value is left to that function.
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

KINDS = {
    "String": "text",
    "ID": "text",
    "Boolean": "boolean",
    "Int": "int",
    "Float": "float",
    "DateTime": "time",
    "BigInt": "digits",
    "JSON": "json",
}
"""The kinds of members that write the values of scalars."""


class BsonScript:
    """A script, built member by member in the order of the answer."""

    def __init__(self) -> None:
        self._members: list[raw.Member] = []
        self._fields: list[str] = []
        self._columns = 0
        self._constant = ""
        self._is_supported = raw.COMPILED

    def add_constant(self, text: str) -> None:
        """Add constant text."""
        self._constant += text

    def add_value(self, path: str, type_: GraphQLOutputType, missing: Callable[[], bytes | None]) -> None:
        """Add the value at a stored path; `missing` returns the text for an absent value, None when there is none."""
        is_list, missing_item = False, None
        of: Any = get_nullable_type(type_)
        if isinstance(of, GraphQLList):
            is_list, missing_item = True, None if isinstance(of.of_type, GraphQLNonNull) else b"null"
            of = get_nullable_type(of.of_type)
        kind = _kind(of)
        if not self._is_supported or kind is None or "." in path:
            return self.give_up()
        if path not in self._fields:
            self._fields.append(path)
        self._add(
            kind,
            self._fields.index(path),
            missing=missing(),
            listed=is_list,
            missing_item=missing_item,
            names=_member_names(of) if isinstance(of, GraphQLEnumType) else None,
        )

    def add_column(self) -> None:
        """Add the value of the next column."""
        if self._is_supported:
            self._add("column", self._columns)
        self._columns += 1

    def give_up(self) -> None:
        """Leave all rows to the compiled function, because a script cannot write some value."""
        self._is_supported = False

    def writer(self) -> raw.Writer | None:
        """The writer of rows by this script, None when the compiled function has to make them."""
        if not self._is_supported:
            return None
        return raw.Writer(
            [*self._members, raw.Member(self._constant.encode(), "constant")], self._fields, json_output.dumps
        )

    def _add(self, kind: str, place: int, **options: Any) -> None:
        self._members.append(raw.Member(self._constant.encode(), kind, place, **options))
        self._constant = ""


def _kind(type_: Any) -> str | None:
    if isinstance(type_, GraphQLEnumType):
        return "name"
    return KINDS.get(type_.name) if is_leaf_type(type_) else None


def _member_names(type_: GraphQLEnumType) -> dict[str, bytes]:
    return {member.value: json_output.dumps(name) for name, member in type_.values.items()}
