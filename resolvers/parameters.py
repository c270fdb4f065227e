"""The values that a step runs with, held to what its component version says of its parameters."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from documents.component_version import ComponentVersion, ParameterDefinition
from resolvers.ingest.dates import instant
from resolvers.ingest.odtp_datatypes import DATATYPES, Unconvertible, converted
from resolvers.ingest.odtp_fields import shown
from resolvers.refusals import InvalidInput, Refusal, Refusals, noting

Values = dict[str, Any]

OF_EVERY_COMPONENT = frozenset(
    {
        "ODTP_LOGS_IN_DB",
        "ODTP_LOG_PAGE_SIZE",
        "ODTP_RESULT",
        "ODTP_SAVE_IN_RESULT",
        "ODTP_SAVE_SNAPSHOT",
        "TRANSFER_INPUT_TO_OUTPUT",
    }
)
"""Switches that the start script in every ODTP container reads, so that no component describes them.

See `odtp-component-client` of odtp-org. Its credentials are none of them: they are secrets.
"""

DOTTED = re.compile(r"[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{4}", re.ASCII)
MOST_NAMED = 20


def frozen(version: ComponentVersion, given: Any, *path: str) -> Values:
    """The values of a run by name: those given, in their datatypes, and the defaults of all others.

    Raises Refusals with every name that is unknown, a secret's or missing, and every value that cannot be taken.
    """
    values = an_object(given, *path)
    refusals: list[Refusal] = []
    found: Values = {}
    for definition in version.parameters:
        # A name that is both a parameter's and a secret's is a secret's: what is not stored does no harm.
        if definition.name not in version.secrets:
            with noting(refusals):
                found[definition.name] = _value(definition, values, *path, definition.name)
    found |= _switches(version, values)
    refusals += _strangers(version, values, *path)
    if refusals:
        raise Refusals(refusals)
    return found


def replaced(version: ComponentVersion, frozen_before: Values, given: Any, *path: str) -> Values:
    """Values that were frozen before, with the given ones in their places. Raises Refusals as `frozen` does."""
    values = an_object(given, *path)
    defined = {definition.name: definition for definition in version.parameters}
    refusals: list[Refusal] = list(_strangers(version, values, *path))
    found = frozen_before | _switches(version, values)
    for name in values.keys() & defined.keys() - set(version.secrets):
        with noting(refusals):
            found[name] = a_value(defined[name], values[name], *path, name)
    if refusals:
        raise Refusals(refusals)
    return found


def an_object(value: Any, *path: str) -> Values:
    """An object of values by name; nothing is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput(f"{path[-1]} must be an object of values by name, not {shown(value)}.", *path)
    return value


def a_value(definition: ParameterDefinition, value: Any, *path: str) -> Any:
    """A value that the parameter takes, in its datatype. A text that spells one is read, as in ODTP's files."""
    datatype = DATATYPES.get(definition.datatype, "string")
    try:
        read = READ[datatype](value)
    except Unconvertible as error:
        raise InvalidInput(f"{definition.name} must be {A_VALUE[datatype]}, not {shown(value)}.", *path) from error
    # The default is taken even where the component forbids it itself: so it runs when nobody says anything.
    if definition.default_value is None or json.loads(definition.default_value) != read:
        _refuse_outside(definition, read, *path)
    return read


def _value(definition: ParameterDefinition, values: Values, *path: str) -> Any:
    if definition.name in values:
        return a_value(definition, values[definition.name], *path)
    if definition.default_value is None:
        raise InvalidInput(f"{definition.name} has no default, so it must be given.", *path)
    return json.loads(definition.default_value)


def _refuse_outside(definition: ParameterDefinition, value: Any, *path: str) -> None:
    if definition.options is not None and not definition.allow_custom_value:
        options = [json.loads(option) for option in definition.options]
        if value not in options:
            listed = ", ".join(shown(option) for option in options[:MOST_NAMED])
            raise InvalidInput(f"{definition.name} must be one of {listed}, not {shown(value)}.", *path)
    if definition.minimum is not None and value < definition.minimum:
        raise InvalidInput(f"{definition.name} must be at least {definition.minimum:g}, not {shown(value)}.", *path)
    if definition.maximum is not None and value > definition.maximum:
        raise InvalidInput(f"{definition.name} must be at most {definition.maximum:g}, not {shown(value)}.", *path)


def _switches(version: ComponentVersion, values: Values) -> Values:
    """The values for what every component takes, where the version does not describe it itself."""
    described = {definition.name for definition in version.parameters} | set(version.secrets)
    return {name: values[name] for name in values if _is_a_switch(name, values[name]) and name not in described}


def _is_a_switch(name: str, value: Any) -> bool:
    return name in OF_EVERY_COMPONENT and isinstance(value, str | int | float)


def _strangers(version: ComponentVersion, values: Values, *path: str) -> Iterator[InvalidInput]:
    """A refusal for each name that the version does not take a value for. The values are not repeated."""
    names = [definition.name for definition in version.parameters if definition.name not in version.secrets]
    for name in values:
        if name in version.secrets:
            message = f"{name} is a secret: workers know its value, which is never sent here or stored."
            yield InvalidInput(message, *path, name)
        elif name in OF_EVERY_COMPONENT and name not in names:
            if not _is_a_switch(name, values[name]):
                yield InvalidInput(f"{name} must be a text, a number or a truth value.", *path, name)
        elif name not in names:
            more = ", …" if len(names) > MOST_NAMED else ""
            takes = f"it takes {', '.join(names[:MOST_NAMED])}{more}" if names else "it takes none"
            yield InvalidInput(f"Version {version.version} has no parameter {shown(name)}; {takes}.", *path, name)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unconvertible
    return value


def _date(value: Any) -> str:
    """A date as it is written: ISO 8601, `1 October 2018` or `01.10.2018`, which only components read."""
    text = _text(value).strip()
    if instant(text) is not None:
        return text
    try:
        if not DOTTED.fullmatch(text):
            raise Unconvertible
        datetime.strptime(text, "%d.%m.%Y")
    except ValueError as error:
        raise Unconvertible from error
    return text


def _number(datatype: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if value is None or isinstance(value, bool):
            raise Unconvertible
        return converted(value, datatype)

    return read


def _truth(value: Any) -> bool:
    if not isinstance(value, bool | str):
        raise Unconvertible
    truth: bool = converted(value, "boolean")
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
