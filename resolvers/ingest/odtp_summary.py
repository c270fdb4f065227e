"""What came of importing a database: how many rows of each collection, and every reason in words."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple


def counted(number: int, noun: str) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class Note(NamedTuple):
    """Why one row was changed or refused. `id` is the source's; empty when the note is about a whole collection."""

    collection: str
    id: str
    reason: str


@dataclass
class Summary:
    """What was done with the rows of the source, by its collections.

    Each row is counted once in `taken`, `refused` or `already` (it was here before, and was left as it is); those in
    `adjusted` are among the taken. Logs are counted in lines where they are taken, in pages where they are refused.
    """

    taken: Counter[str] = field(default_factory=Counter)
    adjusted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    already: Counter[str] = field(default_factory=Counter)
    adjustments: list[Note] = field(default_factory=list)
    refusals: list[Note] = field(default_factory=list)

    def take(self, collection: str, id: str, adjustments: list[str]) -> None:
        """Count a row that was written, with what had to be changed for it."""
        self.taken[collection] += 1
        if adjustments:
            self.adjust(collection, id, adjustments)

    def adjust(self, collection: str, id: str, adjustments: list[str]) -> None:
        """Count a row as changed, with all that was changed in it."""
        self.adjusted[collection] += 1
        self.adjustments += [Note(collection, id, reason) for reason in adjustments]

    def refuse(self, collection: str, id: str, reason: str, rows: int = 1) -> None:
        """Count rows that were not taken, with the reason that they share."""
        self.refused[collection] += rows
        self.refusals.append(Note(collection, id, reason))

    def collections(self) -> list[str]:
        """The names of all collections that were met, in order of appearance."""
        return list(dict.fromkeys([*self.taken, *self.already, *self.refused, *self.adjusted]))
