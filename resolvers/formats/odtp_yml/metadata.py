"""The metadata of a component version: its odtp.yml as JSON, in which texts are texts and numbers keep their digits."""

import json
from enum import Enum, auto
from typing import Any

from resolvers.formats.odtp_yml.adjustments import json_value, number
from resolvers.formats.odtp_yml.datatypes import DATATYPES, TEXT_DATATYPES
from resolvers.formats.yaml_scalar import Scalar

TEXT_KEYS = frozenset({
    "build-args", "component-author", "component-authors", "component-description", "component-docker-image",
    "component-license", "component-name", "component-repository", "component-title", "component-type",
    "component-version", "datatype", "date-format", "description", "doi", "dynamic-naming-based-on", "file-pattern",
    "name", "naming-convention", "orcid", "path", "required-files", "schema-version", "secrets", "tags", "tool-author",
    "tool-authors", "tool-license", "tool-name", "tool-repository", "tool-version", "tools", "type", "url",
})  # fmt: skip
"""Keys whose values are texts in the model of ODTP and in its manual."""
VALUE_KEYS = frozenset({
    "allow-custom-value", "container-port", "devices", "host-port", "parameter-bounds", "port-value", "required",
    "sequence",
})  # fmt: skip
"""Keys whose values are numbers or truth values there."""
DATATYPE_KEYS = frozenset({"default-value", "options"})
"""Keys whose values have the datatype of their parameter."""


class ExpectedType(Enum):
    """The type expected of a value: a text, a number or truth value, or unknown."""

    TEXT = auto()
    VALUE = auto()
    EITHER = auto()


def as_metadata(values: dict[str, Any]) -> dict[str, Any]:
    """An odtp.yml in the types that JSON has.

    A number becomes its text if a text is expected, or if JSON cannot express it as written: 22:22, 0x10, and also 3.10
    if the expected type is unknown.
    """
    metadata: dict[str, Any] = _metadata_value(values, ExpectedType.EITHER)
    return metadata


def _metadata_value(value: object, expected: ExpectedType) -> Any:
    if isinstance(value, dict):
        return {name: _metadata_value(member, _expected_type(name, value, expected)) for name, member in value.items()}
    if isinstance(value, list):
        return [_metadata_value(member, expected) for member in value]
    return _scalar(value, expected) if isinstance(value, Scalar) else value


def _expected_type(name: str, within: dict[str, Any], expected: ExpectedType) -> ExpectedType:
    if name in DATATYPE_KEYS:
        datatype = DATATYPES.get(str(within.get("datatype")).strip().lower(), "string")
        return ExpectedType.TEXT if datatype in TEXT_DATATYPES else ExpectedType.VALUE
    if name in TEXT_KEYS:
        return ExpectedType.TEXT
    return ExpectedType.VALUE if name in VALUE_KEYS else expected


def _scalar(scalar: Scalar, expected: ExpectedType) -> Any:
    value = json_value(scalar)
    if expected is ExpectedType.TEXT:
        return str(scalar)
    if isinstance(value, bool):
        return value
    is_exact = number(str(scalar)) == value if expected is ExpectedType.VALUE else json.dumps(value) == scalar
    return value if is_exact else str(scalar)
