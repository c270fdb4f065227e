"""The five datatypes of parameters, their spellings, and values in them."""

import json
import math
import re
from typing import Any

from resolvers.formats.odtp_yml.adjustments import number, shown, typed
from resolvers.formats.yaml_text import Scalar

DATATYPES = {
    "string": "string", "str": "string", "text": "string",
    "integer": "integer", "int": "integer",
    "float": "float", "double": "float", "number": "float", "decimal": "float",
    "boolean": "boolean", "bool": "boolean",
    "date": "date",
}  # fmt: skip
TEXTS = frozenset({"string", "date"})
"""The datatypes whose values are texts."""
TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class Unconvertible(Exception):
    """A value that has no form in its datatype."""


def converted(value: Any, datatype: str) -> Any:
    """A JSON value or a Scalar, converted to a datatype. Raises Unconvertible when it has no form in it. Null stays
    null."""
    if value is None:
        return None
    if isinstance(value, Scalar):
        value = str(value) if datatype in TEXTS else typed(value)
    if datatype == "integer":
        return _integer(value)
    if datatype == "float":
        return _float(value)
    if datatype == "boolean":
        return _boolean(value)
    return value if isinstance(value, str) else json.dumps(typed(value), ensure_ascii=False)


def _integer(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]{1,100}\s*", value):
        return int(value)
    found = number(value)
    if found is None or not found.is_integer():
        raise Unconvertible
    return int(found)


def _float(value: Any) -> float:
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = number(value)
    if found is None:
        raise Unconvertible
    return found


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    truth = TRUTHS.get(value.strip().lower() if isinstance(value, str) else shown(value))
    if truth is None:
        raise Unconvertible
    return truth
