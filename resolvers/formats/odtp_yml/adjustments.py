"""Normalising the parts of an odtp.yml, with a note of every change."""

import json
import math
from dataclasses import dataclass
from typing import Any

from resolvers.formats.json_text import storable_text
from resolvers.formats.yaml_scalar import Scalar

MAX_ADJUSTMENTS = 500


@dataclass(frozen=True)
class Adjustment:
    """A note that a value is read differently from how it is written. `path` leads to it from the top of the file."""

    path: list[str]
    message: str


class Adjustments:
    """Collects up to 500 notes on changed values."""

    def __init__(self) -> None:
        self.list: list[Adjustment] = []

    def note(self, message: str, *path: str) -> None:
        """Add a note. The note after the last possible one is replaced by one that says that there are more."""
        if len(self.list) < MAX_ADJUSTMENTS:
            self.list.append(Adjustment(list(path), message))
        elif len(self.list) == MAX_ADJUSTMENTS:
            self.list.append(Adjustment([], f"There are more than {MAX_ADJUSTMENTS} adjustments; no more are listed."))


def json_value(value: object) -> Any:
    """A value in JSON's types, with the number or truth value that YAML 1.1 reads in place of each Scalar."""
    if isinstance(value, dict):
        return {name: json_value(member) for name, member in value.items()}
    if isinstance(value, list):
        return [json_value(member) for member in value]
    if not isinstance(value, Scalar):
        return value
    return value.value if math.isfinite(value.value) else str(value)


def preview(value: object) -> str:
    """A value as messages quote it: a scalar as written, else JSON; cut at 60 characters."""
    text = str(value) if isinstance(value, Scalar) else json.dumps(json_value(value), ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"


def plain_text(value: object, notes: Adjustments, *path: str) -> str | None:
    """The text of a scalar; None if it is blank or not a scalar. Numbers and truth values are noted."""
    if value is None:
        return None
    if isinstance(value, str) and not isinstance(value, Scalar):
        return storable_text(value) or None
    name = ".".join(path)
    if isinstance(value, dict | list):
        notes.note(f"{name} is {preview(value)}, not a text; left out.", *path)
        return None
    text = preview(value)
    notes.note(f"{name} is {text}, not a text; read as {preview(text)}.", *path)
    return text


def items(value: object, notes: Adjustments, key: str) -> list[tuple[str, dict[str, Any]]]:
    """The entries of a list of mappings, each with its position. A mapping by name is converted to such a list."""
    if value is None:
        return []
    if isinstance(value, dict):
        notes.note(f"{key} is a mapping; read as a list of its entries.", key)
        return [(name, {"name": name, **(facts if isinstance(facts, dict) else {})}) for name, facts in value.items()]
    if not isinstance(value, list):
        notes.note(f"{key} is {preview(value)}, not a list; left out.", key)
        return []
    entries = []
    for place, entry in enumerate(value):
        if isinstance(entry, dict):
            entries.append((str(place), entry))
        elif isinstance(entry, str | int) and not isinstance(entry, bool):
            notes.note(f"{key} has {preview(entry)} at {place}, not a mapping; read as its name.", key, str(place))
            entries.append((str(place), {"name": str(entry)}))
        else:
            notes.note(f"{key} has {preview(entry)} at {place}, not a mapping; left out.", key, str(place))
    return entries


def number(value: object) -> float | None:
    """The finite number that a value is, or that its text expresses; None for anything else."""
    if isinstance(value, Scalar):
        value = value.value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        parsed = float(value)
    except (ValueError, OverflowError):
        return None
    return parsed if math.isfinite(parsed) else None


def is_read_as_written(written: object, value: object) -> bool:
    """Whether `value` is what people read in the text: to them 22:22 is not a number, and 010 is not eight."""
    if preview(value) == preview(written):
        return True
    if not isinstance(written, Scalar) or preview(value) != preview(written.value):
        return False
    return isinstance(value, bool) or number(str(written)) == value
