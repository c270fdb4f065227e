"""An odtp.yml as the metadata of its component version: JSON in which texts are texts and numbers keep their digits."""

import json
from enum import Enum, auto
from typing import Any

from resolvers.formats.odtp_yml.adjustments import number, typed
from resolvers.formats.odtp_yml.datatypes import DATATYPES, TEXTS
from resolvers.formats.yaml_text import Scalar

TEXT_KEYS = frozenset({
    "build-args", "component-author", "component-authors", "component-description", "component-docker-image",
    "component-license", "component-name", "component-repository", "component-title", "component-type",
    "component-version", "datatype", "date-format", "description", "doi", "dynamic-naming-based-on", "file-pattern",
    "name", "naming-convention", "orcid", "path", "required-files", "schema-version", "secrets", "tags", "tool-author",
    "tool-authors", "tool-license", "tool-name", "tool-repository", "tool-version", "tools", "type", "url",
})  # fmt: skip
"""Keys with text values, in the model of ODTP and in its manual."""
VALUE_KEYS = frozenset({
    "allow-custom-value", "container-port", "devices", "host-port", "parameter-bounds", "port-value", "required",
    "sequence",
})  # fmt: skip
"""Keys with numeric or boolean values there."""
BY_DATATYPE = frozenset({"default-value", "options"})


class Wanted(Enum):
    """The type expected at a place: a text, a number, or unknown."""

    TEXT = auto()
    VALUE = auto()
    EITHER = auto()


def as_metadata(values: dict[str, Any]) -> dict[str, Any]:
    """An odtp.yml in the types that JSON has.

    A number becomes its text where a text is expected, and where JSON cannot express it as written: 22:22, 0x10, and
    3.10 where the expected type is unknown.
    """
    found: dict[str, Any] = _kept(values, Wanted.EITHER)
    return found


def _kept(value: object, wanted: Wanted) -> Any:
    if isinstance(value, dict):
        return {name: _kept(held, _wanted(name, value, wanted)) for name, held in value.items()}
    if isinstance(value, list):
        return [_kept(one, wanted) for one in value]
    return _scalar(value, wanted) if isinstance(value, Scalar) else value


def _wanted(name: str, within: dict[str, Any], wanted: Wanted) -> Wanted:
    if name in BY_DATATYPE:
        datatype = DATATYPES.get(str(within.get("datatype")).strip().lower(), "string")
        return Wanted.TEXT if datatype in TEXTS else Wanted.VALUE
    if name in TEXT_KEYS:
        return Wanted.TEXT
    return Wanted.VALUE if name in VALUE_KEYS else wanted


def _scalar(scalar: Scalar, wanted: Wanted) -> Any:
    value = typed(scalar)
    if wanted is Wanted.TEXT:
        return str(scalar)
    if isinstance(value, bool):
        return value
    says_it = number(str(scalar)) == value if wanted is Wanted.VALUE else json.dumps(value) == scalar
    return value if says_it else str(scalar)
