"""The ports that a component's container listens on."""

import re
from dataclasses import dataclass
from typing import Any

from resolvers.formats.odtp_yml.adjustments import (
    Adjustments,
    is_read_as_written,
    items,
    json_value,
    plain_text,
    preview,
)

VALUE_KEYS = ("port-value", "container-port")
PORT_MAPPING = re.compile(r"(?:[0-9]{1,5}:)?([0-9]{1,5})")


@dataclass(frozen=True)
class Port:
    """A port of the container, 1 to 65535."""

    name: str
    description: str | None
    container_port: int


def ports(value: object, notes: Adjustments) -> list[Port]:
    """The ports with a number. Placeholders such as XXXX are left out."""
    parsed = (_port(entry, notes, place) for place, entry in items(value, notes, "ports"))
    return [port for port in parsed if port is not None]


def _port(entry: dict[str, Any], notes: Adjustments, place: str) -> Port | None:
    name = plain_text(entry.get("name"), notes, "ports", place, "name")
    key = next((key for key in VALUE_KEYS if entry.get(key) is not None), None)
    # A bare `- 8501` arrives here as a name.
    written = entry.get(key) if key else name
    number = _number(written)
    if number is None:
        given = f"the number {preview(written)}, which is not a port" if key else "no number"
        notes.note(f"Port {name or place} has {given}; left out.", "ports", place, "port-value")
        return None
    if not is_read_as_written(written, number):
        notes.note(f"Port {name or place} has the number {preview(written)}; read as {number}.", "ports", place)
    if name is None or key is None:
        notes.note(f"Port {number} has no name; called port-{number}.", "ports", place, "name")
        name = f"port-{number}"
    return Port(name, plain_text(entry.get("description"), notes, "ports", place, "description"), number)


def _number(written: object) -> int | None:
    """A port's number; of `host:container`, that of the container, although YAML 1.1 reads 22:22 as 1342."""
    match = PORT_MAPPING.fullmatch(str(written).strip()) if isinstance(written, str | int) else None
    number = int(match[1]) if match else json_value(written)
    is_port = isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= 65535
    return number if is_port else None
