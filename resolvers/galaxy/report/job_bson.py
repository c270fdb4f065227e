"""A job as it is stored: BSON written straight from the pieces of rows, without objects in between.

The fields of a row, in the order in which they are written:

    _id              "job_…": RowPrefix.id_prefix and the job's own number
    …                RowPrefix.fields, such as instance_ref, generation_ref, archive_ref
    external_id      int64     the job's number on its own server
    tool_id          string
    tool_version     string or null
    state            string
    created_at       date or null, cut to milliseconds
    runtime_seconds  double or null: the metric core/runtime_seconds
    metrics          [{plugin, name, text}]: the number is what the text says, where it is one (`number_of`)
    datasets         [{external_id int64, size_bytes int64 or null, direction "input"/"output",
                       extension string or null, parameter_name string or null}]
    parameters       [{name, value}], the value as JSON text
    digest           16 bytes: see digest.py

Embedded rows stand in the order of their lines. The format: https://bsonspec.org/spec.html
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from operator import add
from struct import Struct
from typing import TypeVar

import orjson

NULL = b"None"
"""The null value of a report."""
DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_CACHED = 20_000
"""Entries of a cache of recurring fragments, such as a tool with its version and state."""

Key = TypeVar("Key")
Value = TypeVar("Value")

int32 = Struct("<i").pack
int64 = Struct("<q").pack
double = Struct("<d").pack

METRICS, DATASETS, PARAMETERS = b"\x04metrics\0", b"\x04datasets\0", b"\x04parameters\0"
EXTERNAL_ID = b"\x12external_id\0"
SIZED, UNSIZED = b"\x12size_bytes\0", b"\x0asize_bytes\0"
MAX_ARRAY_LENGTH = 10_000


@dataclass(frozen=True)
class RowPrefix:
    """The beginning of every row of a report: the prefix of its id, and fields that all rows have in common."""

    id_prefix: str = "job_"
    fields: Mapping[str, str] | None = None

    def to_bson(self) -> bytes:
        """The common fields, encoded as they appear within a document."""
        return b"".join(string(name.encode(), text.encode()) for name, text in (self.fields or {}).items())


@cache
def index_prefixes() -> list[bytes]:
    """The element prefix of each document of an array."""
    return [b"\x03%d\0" % index for index in range(MAX_ARRAY_LENGTH)]


def string(name: bytes, text: bytes) -> bytes:
    """A string field."""
    return b"\x02%b\0%b%b\0" % (name, int32(len(text) + 1), text)


def optional(name: bytes, text: bytes) -> bytes:
    """A string field, null for the word None."""
    return b"\x0a%b\0" % name if text == NULL else string(name, text)


def document(content: bytes) -> bytes:
    """A document made of fields."""
    return b"%b%b\0" % (int32(len(content) + 5), content)


def arrays(head: bytes, rows: list[list[bytes]]) -> list[bytes]:
    """For each row a field that holds an array of documents; `head` is its type and name."""
    if max(map(len, rows)) > MAX_ARRAY_LENGTH:
        raise ValueError("The job has too many rows.")
    # map() over built-in functions takes half the time of a loop in Python.
    prefixes = index_prefixes()
    contents = [b"".join(map(add, prefixes, documents)) for documents in rows]
    return [head + int32(len(content) + 5) + content + b"\0" for content in contents]


class ToolFieldsCache(dict[bytes, bytes]):
    """The fields of a job for each `tool_id\\ttool_version\\tstate`."""

    def __missing__(self, piece: bytes) -> bytes:
        tool, version, state = piece.split(b"\t")
        fields = string(b"tool_id", tool) + optional(b"tool_version", version) + string(b"state", state)
        put_in_cache(self, piece, fields)
        return fields


class MetricPrefixCache(dict[tuple[bytes, int], bytes]):
    """The BSON of a metric's document up to the value, for each `plugin\\tname` and length of a value.

    The document is this prefix, the value and two zeros. A cache hit costs no call, and there are many.
    """

    def __missing__(self, key: tuple[bytes, int]) -> bytes:
        plugin, name = key[0].split(b"\t")
        fields = string(b"plugin", plugin) + string(b"name", name) + string(b"text", bytes(key[1]))
        head = document(fields)[: -key[1] - 2]
        put_in_cache(self, key, head)
        return head


class DatasetEncoder:
    """Encodes datasets. Everything but id and size is encoded once for each extension, parameter and direction."""

    def __init__(self) -> None:
        self._cache: dict[tuple[bytes, bytes], tuple[bytes, bytes, bytes]] = {}

    def document(self, id: bytes, extension: bytes, size: bytes, rest: bytes) -> bytes:
        """The document of one dataset; `rest` is `param_name\\ttype`. Null and -1 mean an unknown size."""
        key = extension, rest
        sized, unsized, tail = self._cache.get(key) or self._parts(key)
        if size == b"-1" or size == NULL:
            return unsized + int64(int(id)) + UNSIZED + tail
        return sized + int64(int(id)) + SIZED + int64(int(size)) + tail

    def _parts(self, key: tuple[bytes, bytes]) -> tuple[bytes, bytes, bytes]:
        parameter, direction = key[1].split(b"\t")
        tail = string(b"direction", direction) + optional(b"extension", key[0])
        tail += optional(b"parameter_name", parameter) + b"\0"
        unsized = 4 + len(EXTERNAL_ID) + 8 + len(UNSIZED) + len(tail)
        parts = int32(unsized + 8) + EXTERNAL_ID, int32(unsized) + EXTERNAL_ID, tail
        put_in_cache(self._cache, key, parts)
        return parts


def parameter(name: bytes, value: bytes) -> bytes:
    """A parameter as a document. Raises ValueError when the value is not JSON.

    Exporters write JSON within a JSON string. The wrapped JSON text is kept; a string that wraps no JSON, and JSON that
    is no string, are kept as they are.
    """
    outer = orjson.loads(value)
    text = outer.encode() if isinstance(outer, str) and _is_json(outer) else value
    return document(string(b"name", name) + string(b"value", text))


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True


class TimeEncoder:
    """Encodes the creation times of jobs. The calendar is consulted once for each minute."""

    def __init__(self) -> None:
        self._minutes: dict[bytes, int] = {}

    def field(self, time: bytes) -> bytes:
        """The field for a UTC time, cut to milliseconds. Raises ValueError for days and hours that do not exist."""
        if time == NULL:
            return b"\x0acreated_at\0"
        minute = time[:16]
        at = self._minutes.get(minute)
        if at is None:
            since = datetime.fromisoformat(f"{minute.decode()}+00:00") - EPOCH
            at = (since.days * 86_400 + since.seconds) * 1000
            put_in_cache(self._minutes, minute, at)
        return b"\x09created_at\0" + int64(at + int(time[17:19]) * 1000 + int(time[20:23].ljust(3, b"0")))


def runtime_field(value: bytes | None) -> bytes:
    """The runtime field of a job."""
    return b"\x0aruntime_seconds\0" if value is None else b"\x01runtime_seconds\0" + double(float(value))


def number_of(text: str) -> float | None:
    """The number in a metric's text; None when it is no decimal number, or exceeds 64 bits."""
    if not DECIMAL.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def put_in_cache(cache: dict[Key, Value], key: Key, value: Value) -> None:
    """Cache a fragment; a full cache is cleared first."""
    if len(cache) >= MAX_CACHED:
        cache.clear()
    cache[key] = value
