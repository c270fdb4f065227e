"""The five datatypes of parameters, their spellings, and the coercion of values to them."""

import json
import math
import re
from typing import Any

from resolvers.formats.odtp_yml.adjustments import json_value, number, preview
from resolvers.formats.yaml_scalar import Scalar

DATATYPES = {
    "string": "string", "str": "string", "text": "string",
    "integer": "integer", "int": "integer",
    "float": "float", "double": "float", "number": "float", "decimal": "float",
    "boolean": "boolean", "bool": "boolean",
    "date": "date",
}  # fmt: skip
TEXT_DATATYPES = frozenset({"string", "date"})
"""The datatypes whose values are texts."""
BOOLEAN_SPELLINGS = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip


class CoercionError(Exception):
    """A value that cannot be expressed in its datatype."""


def coerce(value: Any, datatype: str) -> Any:
    """A JSON value or a Scalar in a datatype; None stays None. Raises CoercionError if it cannot be expressed in it."""
    if value is None:
        return None
    if isinstance(value, Scalar):
        value = str(value) if datatype in TEXT_DATATYPES else json_value(value)
    if datatype == "integer":
        return _integer(value)
    if datatype == "float":
        return _float(value)
    if datatype == "boolean":
        return _boolean(value)
    return value if isinstance(value, str) else json.dumps(json_value(value), ensure_ascii=False)


def _integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,100}\s*", value):
        return int(value)
    parsed = number(value)
    if parsed is None or not parsed.is_integer():
        raise CoercionError
    return int(parsed)


def _float(value: Any) -> float:
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    parsed = number(value)
    if parsed is None:
        raise CoercionError
    return parsed


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    truth = BOOLEAN_SPELLINGS.get(value.strip().lower() if isinstance(value, str) else preview(value))
    if truth is None:
        raise CoercionError
    return truth
