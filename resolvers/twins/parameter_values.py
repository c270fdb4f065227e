"""Values of parameters in their datatypes, checked against the options and bounds of their definitions."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from documents.twins.component_version import ParameterDefinition
from resolvers.formats.dates import instant
from resolvers.formats.odtp_yml.adjustments import preview
from resolvers.formats.odtp_yml.datatypes import DATATYPES, CoercionError, coerce
from resolvers.user_errors import InvalidInput

DOTTED = re.compile(r"[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{4}", re.ASCII)
MOST_NAMED = 20


def check_value(definition: ParameterDefinition, value: Any, *path: str) -> Any:
    """A value of the parameter's datatype. A text that spells one is parsed, as in ODTP's files."""
    datatype = DATATYPES.get(definition.datatype, "string")
    try:
        read = READ[datatype](value)
    except CoercionError as error:
        raise InvalidInput(f"{definition.name} must be {A_VALUE[datatype]}, not {preview(value)}.", *path) from error
    # The default is accepted even if the component's own bounds forbid it: it is the value that runs without any input.
    if definition.default_value is None or json.loads(definition.default_value) != read:
        _refuse_outside(definition, read, *path)
    return read


def _refuse_outside(definition: ParameterDefinition, value: Any, *path: str) -> None:
    if definition.options is not None and not definition.allow_custom_value:
        options = [json.loads(option) for option in definition.options]
        if value not in options:
            listed = ", ".join(preview(option) for option in options[:MOST_NAMED])
            raise InvalidInput(f"{definition.name} must be one of {listed}, not {preview(value)}.", *path)
    if definition.minimum is not None and value < definition.minimum:
        raise InvalidInput(f"{definition.name} must be at least {definition.minimum:g}, not {preview(value)}.", *path)
    if definition.maximum is not None and value > definition.maximum:
        raise InvalidInput(f"{definition.name} must be at most {definition.maximum:g}, not {preview(value)}.", *path)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise CoercionError
    return value


def _date(value: Any) -> str:
    """A date as written: ISO 8601, `1 October 2018` or `01.10.2018`, which only components parse."""
    text = _text(value).strip()
    if instant(text) is not None:
        return text
    try:
        if not DOTTED.fullmatch(text):
            raise CoercionError
        datetime.strptime(text, "%d.%m.%Y")
    except ValueError as error:
        raise CoercionError from error
    return text


def _number(datatype: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if value is None or isinstance(value, bool):
            raise CoercionError
        return coerce(value, datatype)

    return read


def _truth(value: Any) -> bool:
    if not isinstance(value, bool | str):
        raise CoercionError
    truth: bool = coerce(value, "boolean")
    return truth


READ: dict[str, Callable[[Any], Any]] = {
    "string": _text,
    "integer": _number("integer"),
    "float": _number("float"),
    "boolean": _truth,
    "date": _date,
}
A_VALUE = {
    "string": "a text",
    "integer": "a whole number",
    "float": "a number",
    "boolean": "true or false",
    "date": "a date such as 2024-02-29",
}
