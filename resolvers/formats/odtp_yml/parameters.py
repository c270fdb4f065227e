"""The parameters of a component: their datatypes, defaults, options and bounds in one normal form."""

import re
from dataclasses import dataclass
from typing import Any

from resolvers.formats.odtp_yml.adjustments import (
    Adjustments,
    is_read_as_written,
    items,
    json_value,
    number,
    plain_text,
    preview,
)
from resolvers.formats.odtp_yml.datatypes import BOOLEAN_SPELLINGS, DATATYPES, CoercionError, coerce
from resolvers.formats.yaml_scalar import Scalar

KNOWN_KEYS = frozenset(
    {"name", "datatype", "description", "default-value", "options", "allow-custom-value", "parameter-bounds"}
)
NUMERIC_DATATYPES = frozenset({"integer", "float"})
OPEN_BOUND = re.compile(r"[+-]?\.?inf(inity)?", re.IGNORECASE)


@dataclass(frozen=True)
class Parameter:
    """A parameter of a component. `datatype` is string, integer, float, boolean or date; values are JSON values.

    `options` is None if none are listed; a bound of None is open.
    """

    name: str
    datatype: str
    default_value: Any
    description: str | None
    options: list[Any] | None
    allow_custom_value: bool
    minimum: float | None
    maximum: float | None


def parameters(value: object, notes: Adjustments) -> list[Parameter]:
    """The parameters with a name. Of several with the same name the first is used."""
    by_name: dict[str, Parameter] = {}
    for place, entry in items(value, notes, "parameters"):
        name = plain_text(entry.get("name"), notes, "parameters", place, "name")
        if name is None:
            notes.note(f"Parameter {place} has no name; left out.", "parameters", place)
        elif name in by_name:
            notes.note(f"Parameter {name} is described twice; the first is kept.", "parameters", place)
        else:
            by_name[name] = _Reader(name, entry, notes, place).parameter()
    return list(by_name.values())


class _Reader:
    """Reads one parameter, and notes its adjustments."""

    def __init__(self, name: str, entry: dict[str, Any], notes: Adjustments, place: str) -> None:
        self._name, self._entry, self._notes, self._place = name, entry, notes, place

    def parameter(self) -> Parameter:
        for key in sorted(self._entry.keys() - KNOWN_KEYS):
            self._note(f"has an unknown key {key}, kept in the metadata only.", key)
        datatype = self._datatype()
        minimum, maximum = self._bounds(datatype)
        return Parameter(
            name=self._name,
            datatype=datatype,
            default_value=self._default(datatype),
            description=plain_text(
                self._entry.get("description"), self._notes, "parameters", self._place, "description"
            ),
            options=self._options(datatype),
            allow_custom_value=self._allows_custom_value(),
            minimum=minimum,
            maximum=maximum,
        )

    def _note(self, message: str, *path: str) -> None:
        self._notes.note(f"Parameter {self._name} {message}", "parameters", self._place, *path)

    def _datatype(self) -> str:
        written = self._entry.get("datatype")
        if written is None:
            self._note("has no datatype; read as string.", "datatype")
            return "string"
        datatype = DATATYPES.get(written.strip().lower()) if isinstance(written, str) else None
        if datatype is None:
            self._note(f"has the unknown datatype {preview(written)}; read as string.", "datatype")
        elif datatype != written:
            self._note(f"has the datatype {preview(written)}; read as {datatype}.", "datatype")
        return datatype or "string"

    def _default(self, datatype: str) -> Any:
        written = self._entry.get("default-value")
        try:
            value = coerce(written, datatype)
        except CoercionError:
            self._note(
                f"has the default value {preview(written)}, which is not of type {datatype}; left out.", "default-value"
            )
            return None
        if not is_read_as_written(written, value):
            self._note(f"has the default value {preview(written)}; read as {preview(value)}.", "default-value")
        return value

    def _options(self, datatype: str) -> list[Any] | None:
        written = self._entry.get("options")
        if written is None:
            return None
        if not isinstance(written, list):
            self._note(f"has the options {preview(written)}, not a list; read as a list of one.", "options")
            written = [written]
        options = [
            value for place, option in enumerate(written) for value in self._option(option, datatype, str(place))
        ]
        return options or None

    def _option(self, written: object, datatype: str, place: str) -> list[Any]:
        """A list of the option in its datatype; an empty one if it cannot be coerced."""
        option = written.get("value") if isinstance(written, dict) and "value" in written else written
        try:
            value = coerce(option, datatype)
        except CoercionError:
            self._note(
                f"has the option {preview(written)}, which is not of type {datatype}; left out.", "options", place
            )
            return []
        if not is_read_as_written(written, value):
            self._note(f"has the option {preview(written)}; read as {preview(value)}.", "options", place)
        return [value]

    def _allows_custom_value(self) -> bool:
        written = json_value(self._entry.get("allow-custom-value"))
        if written is None or isinstance(written, bool):
            return bool(written)
        allows = BOOLEAN_SPELLINGS.get(str(written).strip().lower(), False)
        self._note(f"has allow-custom-value {preview(written)}; read as {preview(allows)}.", "allow-custom-value")
        return allows

    def _bounds(self, datatype: str) -> tuple[float | None, float | None]:
        written = self._entry.get("parameter-bounds")
        if written is None or written == []:
            return None, None
        if datatype not in NUMERIC_DATATYPES or not isinstance(written, list) or len(written) != 2:
            problem = f"not two bounds of a number (the datatype is {datatype})"
            self._note(f"has the parameter-bounds {preview(written)}, {problem}; left out.", "parameter-bounds")
            return None, None
        minimum, maximum = (self._bound(bound, str(place)) for place, bound in enumerate(written))
        if minimum is not None and maximum is not None and minimum > maximum:
            self._note(
                f"has the parameter-bounds {preview(written)}, which no value meets; left out.", "parameter-bounds"
            )
            return None, None
        return minimum, maximum

    def _bound(self, written: object, place: str) -> float | None:
        if written is None or (isinstance(written, str) and OPEN_BOUND.fullmatch(written.strip())):
            return None
        bound = number(written)
        if bound is None:
            self._note(
                f"has the bound {preview(written)}, which is not a number; left open.", "parameter-bounds", place
            )
        elif isinstance(written, str) and not (isinstance(written, Scalar) and number(str(written)) == bound):
            self._note(f"has the bound {preview(written)}; read as {preview(bound)}.", "parameter-bounds", place)
        return bound
