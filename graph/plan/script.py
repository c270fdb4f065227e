"""What is written of a row that comes as the database sent it: text that is always the same, and values between.

The script of steps with outputs below may read

    {"key":<text at key>,"startedAt":<time at start_timestamp, else null>,"outputs":<column 0>}

and stands beside the function that a shape compiles for dictionaries. Only what every row has at its top level, of the
plain types, is written so; whatever a row holds instead is left to that function.
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

from documents import raw
from graph.plan import text

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
    """Put together member by member, in the order of the answer."""

    def __init__(self) -> None:
        self._members: list[raw.Member] = []
        self._fields: list[str] = []
        self._columns = 0
        self._said = ""
        self._is_plain = raw.COMPILED

    def say(self, said: str) -> None:
        """Text that every row has here."""
        self._said += said

    def value(self, path: str, type_: GraphQLOutputType, missing: Callable[[], bytes | None]) -> None:
        """What stands at a stored path; `missing` gives what is written where nothing does, None where it must."""
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
        """What stands in the next column."""
        if self._is_plain:
            self._add("column", self._columns)
        self._columns += 1

    def leave(self) -> None:
        """Leave all rows to the function: something of them is written in no plain way."""
        self._is_plain = False

    def writer(self) -> raw.Writer | None:
        """What writes rows by this script, None when the function has to show them."""
        if not self._is_plain:
            return None
        return raw.Writer([*self._members, raw.Member(self._said.encode(), "constant")], self._fields, text.dumps)

    def _add(self, shown: str, place: int, **options: Any) -> None:
        self._members.append(raw.Member(self._said.encode(), shown, place, **options))
        self._said = ""


def _shown(type_: Any) -> str | None:
    if isinstance(type_, GraphQLEnumType):
        return "name"
    return SHOWN.get(type_.name) if is_leaf_type(type_) else None


def _names(type_: GraphQLEnumType) -> dict[str, bytes]:
    return {one.value: text.dumps(name) for name, one in type_.values.items()}
