"""Scalars: times in UTC, JSON copied into the answer as stored text, 64-bit integers."""

import json
import re
from datetime import UTC, datetime
from typing import Any, NewType

import orjson
import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

JSON = NewType("JSON", object)
BigInt = NewType("BigInt", int)

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
WHOLE_NUMBER = re.compile(r"-?\d{1,19}", re.ASCII)


def serialize_datetime(value: datetime) -> str:
    """`2021-07-05T16:30:05.000Z`. A naive datetime, as the database returns it, is in UTC."""
    if value.tzinfo is not None:
        value = value.astimezone(UTC).replace(tzinfo=None)
    return f"{value.isoformat(timespec='milliseconds')}Z"


def parse_datetime(value: Any) -> datetime:
    """A time with a zone, converted to UTC and truncated to milliseconds."""
    if not isinstance(value, str) or not RFC_3339.fullmatch(value):
        raise GraphQLError(f"DateTime must be RFC 3339 with a zone, such as 2021-07-05T16:30:05Z, not {_quote(value)}.")
    try:
        # Digits beyond microseconds are more than Python parses, and more than is stored.
        time = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", value.upper())).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise GraphQLError(f"DateTime {_quote(value)} does not exist: {error}.") from error
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def serialize_json(value: Any) -> orjson.Fragment:
    """The stored text of a JSON value."""
    return orjson.Fragment(value)


def parse_json(value: Any) -> Any:
    """Any JSON value."""
    return value


def serialize_big_int(value: int) -> str:
    """A string of digits, since many clients lose the last digits of large numbers."""
    return str(value)


def parse_big_int(value: Any) -> int:
    """A 64-bit integer, from digits or a number."""
    if isinstance(value, bool) or not isinstance(value, str | int) or not WHOLE_NUMBER.fullmatch(str(value)):
        raise GraphQLError(f"BigInt must be a whole number, not {_quote(value)}.")
    if not -(2**63) <= int(value) < 2**63:
        raise GraphQLError(f"BigInt must fit into 64 bits; {_quote(value)} does not.")
    return int(value)


def _quote(value: Any) -> str:
    return json.dumps(value, default=str)[:100]


SCALARS: dict[object, ScalarDefinition] = {
    datetime: strawberry.scalar(
        name="DateTime",
        description="A time in RFC 3339 format, in UTC and ending in Z, stored to the millisecond.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=serialize_datetime,
        parse_value=parse_datetime,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value. Used only where the server does not define the structure (csvw, parameters, "
        "metadata).",
        serialize=serialize_json,
        parse_value=parse_json,
    ),
    BigInt: strawberry.scalar(
        name="BigInt",
        description="A 64-bit signed integer, serialised as a string of digits.",
        serialize=serialize_big_int,
        parse_value=parse_big_int,
    ),
}
