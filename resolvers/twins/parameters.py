"""The parameter values with which a step runs, checked against its component version."""

import json
from collections.abc import Iterator
from typing import Any

from documents.twins.component_version import ComponentVersion, ParameterDefinition
from resolvers.formats.odtp_yml.adjustments import preview
from resolvers.twins.parameter_values import coerce_value
from resolvers.user_errors import InvalidInput, Refusal, Refusals, collect_refusals

Values = dict[str, Any]

BUILT_IN_PARAMETERS = frozenset(
    {
        "ODTP_LOGS_IN_DB",
        "ODTP_LOG_PAGE_SIZE",
        "ODTP_RESULT",
        "ODTP_SAVE_IN_RESULT",
        "ODTP_SAVE_SNAPSHOT",
        "TRANSFER_INPUT_TO_OUTPUT",
    }
)
"""Switches that the start script in every ODTP container reads, so components do not describe them.

See `odtp-component-client` of odtp-org.
"""
CREDENTIALS = frozenset({"ODTP_ACCESS_KEY", "ODTP_MONGO_SERVER", "ODTP_SECRET_KEY"})
"""Names of credentials that this script reads, and clients may not send: these open a bucket and a database."""

MAX_NAME_BYTES = 255
"""Bytes of the name of an undeclared parameter."""
FIRST_PRINTABLE = 32
"""The code of the first character that is no control character."""


def freeze_parameters(version: ComponentVersion, given: Any, *path: str) -> Values:
    """The values of a run by name: those given, in their datatypes, and the defaults of all others.

    Undeclared names are passed on to the component, which may read them anyway. Raises Refusals with every name that is
    a secret's or missing, and every invalid value.
    """
    values = check_object(given, *path)
    refusals: list[Refusal] = []
    parameters: Values = {}
    for definition in version.parameters:
        # A parameter with the name of a secret counts as the secret unless a value is given here.
        if definition.name in values or definition.name not in version.secrets:
            with collect_refusals(refusals):
                parameters[definition.name] = _value_or_default(definition, values, *path, definition.name)
    parameters |= {name: value for name, value in values.items() if name not in parameters}
    refusals += _name_refusals(version, values, *path)
    if refusals:
        raise Refusals(refusals)
    return parameters


def override_parameters(version: ComponentVersion, frozen_before: Values, given: Any, *path: str) -> Values:
    """Values frozen before, with the given ones in their place. Raises Refusals as `freeze_parameters` does."""
    values = check_object(given, *path)
    defined = {definition.name: definition for definition in version.parameters}
    refusals: list[Refusal] = list(_name_refusals(version, values, *path))
    parameters = frozen_before | values
    for name in values.keys() & defined.keys():
        with collect_refusals(refusals):
            parameters[name] = coerce_value(defined[name], values[name], *path, name)
    if refusals:
        raise Refusals(refusals)
    return parameters


def coerce_parameters(version: ComponentVersion, given: Any, *path: str) -> Values:
    """The given values in their datatypes, without defaults, which each execution fills in.

    Raises Refusals as `freeze_parameters` does.
    """
    return override_parameters(version, {}, given, *path)


def carry_over_parameters(values: Values, before: ComponentVersion, after: ComponentVersion) -> Values:
    """Values of one version for a run of another: without those that only the first declares, or the other keeps
    secret."""
    secrets = {_spelling_key(name) for name in after.secrets}
    names_before, names_after = declared_names(before), declared_names(after)
    return {
        name: value
        for name, value in values.items()
        if _spelling_key(name) not in secrets and (name in names_after or name not in names_before)
    }


def check_object(value: Any, *path: str) -> Values:
    """An object of values by name; null is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInput(f"{path[-1]} must be an object of values by name, not {preview(value)}.", *path)
    return value


def declared_names(version: ComponentVersion) -> set[str]:
    """The names for which the version takes a value: its parameters, and those that every component reads."""
    return {definition.name for definition in version.parameters} | BUILT_IN_PARAMETERS


def _value_or_default(definition: ParameterDefinition, values: Values, *path: str) -> Any:
    if definition.name in values:
        return coerce_value(definition, values[definition.name], *path)
    if definition.default_value is None:
        raise InvalidInput(f"{definition.name} has no default, so a value must be given.", *path)
    return json.loads(definition.default_value)


def _name_refusals(version: ComponentVersion, values: Values, *path: str) -> Iterator[InvalidInput]:
    """A refusal for each given name that is not allowed. The values are not repeated."""
    parameters = {definition.name for definition in version.parameters}
    secrets = {_spelling_key(name): name for name in version.secrets}
    for name in [name for name in values if name not in parameters]:
        if message := _reason_to_refuse(name, values[name], secrets):
            yield InvalidInput(message, *path, name)


def _reason_to_refuse(name: str, value: Any, secrets: dict[str, str]) -> str | None:
    if name in secrets.values() or name in CREDENTIALS:
        return f"{name} is a secret: workers know its value, which must not be sent to this server."
    if (plain := _spelling_key(name)) and (secret := secrets.get(plain)):
        return f"{preview(name)} is written like the secret {secret}, whose value must not be sent to this server."
    if name in BUILT_IN_PARAMETERS and not isinstance(value, str | int | float):
        return f"{name} must be a text, a number or a boolean."
    is_line = name.strip() and all(ord(character) >= FIRST_PRINTABLE for character in name)
    if not is_line or len(name.encode(errors="replace")) > MAX_NAME_BYTES:
        return f"A parameter's name is one line of 1 to {MAX_NAME_BYTES} bytes that is not blank, not {preview(name)}."
    return None


def _spelling_key(name: str) -> str:
    """A name without variations of spelling: `hf-token` is HF_TOKEN."""
    return "".join(character for character in name.casefold() if character.isalnum())
