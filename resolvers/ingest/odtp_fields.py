"""The parts of an odtp.yml, each normalised, with a note of everything that had to be changed."""

import json
import math
from dataclasses import dataclass
from typing import Any

from resolvers.ingest.json_text import storable

MAX_ADJUSTMENTS = 500


@dataclass(frozen=True)
class Adjustment:
    """Something that was read otherwise than it is written. `path` leads to it from the top of the file."""

    path: list[str]
    message: str


class Adjustments:
    """Collects what was changed, up to 500 notes."""

    def __init__(self) -> None:
        self.made: list[Adjustment] = []

    def note(self, message: str, *path: str) -> None:
        """Keep a note, and once there are too many, one that says so."""
        if len(self.made) < MAX_ADJUSTMENTS:
            self.made.append(Adjustment(list(path), message))
        elif len(self.made) == MAX_ADJUSTMENTS:
            self.made.append(Adjustment([], f"There are more than {MAX_ADJUSTMENTS} adjustments; no more are listed."))


def shown(value: object) -> str:
    """A value as a message quotes it: JSON, cut at 60 characters."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"


def plain_text(value: object, notes: Adjustments, *path: str) -> str | None:
    """The text of a scalar, None when it is blank or no scalar. Numbers and truth values are noted."""
    if value is None:
        return None
    if isinstance(value, str):
        return storable(value) or None
    name = ".".join(path)
    if isinstance(value, dict | list):
        notes.note(f"{name} is {shown(value)}, not a text; left out.", *path)
        return None
    text = shown(value)
    notes.note(f"{name} is {text}, not a text; read as {shown(text)}.", *path)
    return text


def items(value: object, notes: Adjustments, key: str) -> list[tuple[str, dict[str, Any]]]:
    """The entries of a list of mappings, each with its place. A mapping by name becomes such a list."""
    if value is None:
        return []
    if isinstance(value, dict):
        notes.note(f"{key} is a mapping; read as a list of what it names.", key)
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
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
