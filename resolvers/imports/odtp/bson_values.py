"""Values in ODTP databases: references, times, texts, and values kept as JSON."""

import base64
import json
import math
import re
from datetime import UTC, datetime
from typing import Any

from bson import DBRef, ObjectId
from bson.binary import Binary

from documents.base import utc_milliseconds
from resolvers.formats.dates import instant

HEX = re.compile(r"\s*([0-9a-fA-F]{24})\s*")


def hex_of(value: object) -> str | None:
    """The 24 hexadecimal digits of a reference: an ObjectId, its text or a DBRef. None for anything else."""
    if isinstance(value, DBRef):
        value = value.id
    if isinstance(value, ObjectId):
        return str(value)
    match = HEX.fullmatch(value) if isinstance(value, str) else None
    return match[1].lower() if match else None


def both_forms(hexes: list[str]) -> list[ObjectId | str]:
    """References in the two forms in which ODTP writes them, for a filter."""
    return [form for hex in hexes for form in (ObjectId(hex), hex)]


def time_of(value: object) -> datetime | None:
    """The time that a date or a text stands for; None for anything else."""
    if isinstance(value, datetime):
        return utc_milliseconds(value)
    return instant(value) if isinstance(value, str) else None


def json_text(value: object) -> str:
    """A BSON value as JSON. Times, ids and other types without a JSON form become texts."""
    return json.dumps(plain(value), ensure_ascii=False)


def plain(value: object) -> Any:
    """A BSON value in the types that JSON has."""
    if isinstance(value, dict):
        return {str(key): plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [plain(member) for member in value]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, datetime):
        return _iso(value)
    if isinstance(value, bytes | Binary):
        return base64.b64encode(value).decode()
    return str(value)


def _iso(at: datetime) -> str:
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
