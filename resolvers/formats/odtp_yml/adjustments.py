"""The parts of an odtp.yml, each normalised, with a note of every change."""

import json
import math
from dataclasses import dataclass
from typing import Any

from resolvers.formats.json_text import storable
from resolvers.formats.yaml_text import Scalar

MAX_ADJUSTMENTS = 500


@dataclass(frozen=True)
class Adjustment:
    """A value that was read differently than it is written. `path` leads to it from the top of the file."""

    path: list[str]
    message: str


class Adjustments:
    """Collects up to 500 notes on changed values."""

    def __init__(self) -> None:
        self.made: list[Adjustment] = []

    def note(self, message: str, *path: str) -> None:
        """Add a note; once there are too many, only a final one that says so."""
        if len(self.made) < MAX_ADJUSTMENTS:
            self.made.append(Adjustment(list(path), message))
        elif len(self.made) == MAX_ADJUSTMENTS:
            self.made.append(Adjustment([], f"There are more than {MAX_ADJUSTMENTS} adjustments; no more are listed."))


def typed(value: object) -> Any:
    """A value with YAML 1.1's readings in place of its scalars, in JSON's types."""
    if isinstance(value, dict):
        return {name: typed(held) for name, held in value.items()}
    if isinstance(value, list):
        return [typed(one) for one in value]
    if not isinstance(value, Scalar):
        return value
    return value.value if math.isfinite(value.value) else str(value)


def shown(value: object) -> str:
    """A value as a message quotes it: a scalar as written, else JSON; cut at 60 characters."""
    text = str(value) if isinstance(value, Scalar) else json.dumps(typed(value), ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"


def plain_text(value: object, notes: Adjustments, *path: str) -> str | None:
    """The text of a scalar, None when it is blank or no scalar. Numbers and truth values are noted."""
    if value is None:
        return None
    if isinstance(value, str) and not isinstance(value, Scalar):
        return storable(value) or None
    name = ".".join(path)
    if isinstance(value, dict | list):
        notes.note(f"{name} is {shown(value)}, not a text; left out.", *path)
        return None
    text = shown(value)
    notes.note(f"{name} is {text}, not a text; read as {shown(text)}.", *path)
    return text


def items(value: object, notes: Adjustments, key: str) -> list[tuple[str, dict[str, Any]]]:
    """The entries of a list of mappings, each with its position. A mapping by name is converted to such a list."""
    if value is None:
        return []
    if isinstance(value, dict):
        notes.note(f"{key} is a mapping; read as a list of its entries.", key)
        return [(name, {"name": name, **(held if isinstance(held, dict) else {})}) for name, held in value.items()]
    if not isinstance(value, list):
        notes.note(f"{key} is {shown(value)}, not a list; left out.", key)
        return []
    entries = []
    for place, entry in enumerate(value):
        if isinstance(entry, dict):
            entries.append((str(place), entry))
        elif isinstance(entry, str | int) and not isinstance(entry, bool):
            notes.note(f"{key} has {shown(entry)} at {place}, not a mapping; read as its name.", key, str(place))
            entries.append((str(place), {"name": str(entry)}))
        else:
            notes.note(f"{key} has {shown(entry)} at {place}, not a mapping; left out.", key, str(place))
    return entries


def number(value: object) -> float | None:
    """A finite number, also when it is written as a text; None for anything else."""
    if isinstance(value, Scalar):
        value = value.value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def read_as_written(written: object, value: object) -> bool:
    """Whether `value` is what a human reader of the text expects: 22:22 is no number to them, nor is 010 eight."""
    if shown(value) == shown(written):
        return True
    if not isinstance(written, Scalar) or shown(value) != shown(written.value):
        return False
    return isinstance(value, bool) or number(str(written)) == value
