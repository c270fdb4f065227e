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
MAX_NAMED_OPTIONS = 20


def coerce_value(definition: ParameterDefinition, value: Any, *path: str) -> Any:
    """A value of the parameter's datatype. A text that spells one is parsed, as in ODTP's files."""
    datatype = DATATYPES.get(definition.datatype, "string")
    try:
        coerced = COERCIONS[datatype](value)
    except CoercionError as error:
        raise InvalidInput(
            f"{definition.name} must be {DESCRIPTIONS[datatype]}, not {preview(value)}.", *path
        ) from error
    # The default is accepted even if the component's own bounds forbid it: it is the value that runs without any input.
    if definition.default_value is None or json.loads(definition.default_value) != coerced:
        _check_options_and_bounds(definition, coerced, *path)
    return coerced


def _check_options_and_bounds(definition: ParameterDefinition, value: Any, *path: str) -> None:
    if definition.options is not None and not definition.allow_custom_value:
        options = [json.loads(option) for option in definition.options]
        if value not in options:
            listed = ", ".join(preview(option) for option in options[:MAX_NAMED_OPTIONS])
            raise InvalidInput(f"{definition.name} must be one of {listed}, not {preview(value)}.", *path)
    if definition.minimum is not None and value < definition.minimum:
        raise InvalidInput(f"{definition.name} must be at least {definition.minimum:g}, not {preview(value)}.", *path)
    if definition.maximum is not None and value > definition.maximum:
        raise InvalidInput(f"{definition.name} must be at most {definition.maximum:g}, not {preview(value)}.", *path)


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise CoercionError
    return value


def _date(value: Any) -> str:
    """A date as written: ISO 8601, `1 October 2018` or `01.10.2018`, which only components parse."""
    text = _string(value).strip()
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


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool | str):
        raise CoercionError
    boolean: bool = coerce(value, "boolean")
    return boolean


COERCIONS: dict[str, Callable[[Any], Any]] = {
    "string": _string,
    "integer": _number("integer"),
    "float": _number("float"),
    "boolean": _boolean,
    "date": _date,
}
DESCRIPTIONS = {
    "string": "a text",
    "integer": "a whole number",
    "float": "a number",
    "boolean": "true or false",
    "date": "a date such as 2024-02-29",
}
