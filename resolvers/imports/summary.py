"""The result of importing a database: how many rows of each collection, and every reason in words."""

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
    """The outcome for the rows of the source, by its collections.

    Each row is counted once in `taken`, `updated`, `refused` or `already` (it was here before, and was left as it is).
    Rows in `adjusted` are among the taken, and rows in `kept`, which differ because they were changed here, among the
    updated and those that are here already. Rows in `gone` were imported once, and have been deleted in the source.
    Logs are counted in lines where they are taken, in pages where they are refused.
    """

    taken: Counter[str] = field(default_factory=Counter)
    updated: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    gone: Counter[str] = field(default_factory=Counter)
    adjusted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    already: Counter[str] = field(default_factory=Counter)
    updates: list[Note] = field(default_factory=list)
    differences: list[Note] = field(default_factory=list)
    losses: list[Note] = field(default_factory=list)
    adjustments: list[Note] = field(default_factory=list)
    refusals: list[Note] = field(default_factory=list)

    def take(self, collection: str, id: str, adjustments: list[str]) -> None:
        """Count a row that was written, and note its adjustments."""
        self.taken[collection] += 1
        if adjustments:
            self.adjust(collection, id, adjustments)

    def adjust(self, collection: str, id: str, adjustments: list[str]) -> None:
        """Count a row as adjusted, and note its adjustments."""
        self.adjusted[collection] += 1
        self.adjustments += [Note(collection, id, reason) for reason in adjustments]

    def update(self, collection: str, id: str, changes: list[str]) -> None:
        """Count an existing row with changes that were taken over."""
        self.updated[collection] += 1
        self.updates += [Note(collection, id, change) for change in changes]

    def keep(self, collection: str, id: str, differences: list[str]) -> None:
        """Count a row that differs from the source, because it was changed here."""
        self.kept[collection] += 1
        self.differences += [Note(collection, id, difference) for difference in differences]

    def miss(self, collection: str, id: str) -> None:
        """Count an imported row that the source no longer has."""
        self.gone[collection] += 1
        self.losses.append(Note(collection, id, "It was deleted in ODTP; kept here."))

    def notes(self) -> dict[str, list[Note]]:
        """All notes, by outcome."""
        return {
            "updated": self.updates,
            "kept": self.differences,
            "gone": self.losses,
            "adjusted": self.adjustments,
            "refused": self.refusals,
        }

    def tells_more_than(self, last: "Summary") -> bool:
        """Whether anything was written, or differs from the previous import."""
        standing = [(one.differences, one.losses, one.refusals) for one in (self, last)]
        return bool(self.taken.total() or self.updated.total()) or standing[0] != standing[1]

    def refuse(self, collection: str, id: str, reason: str, rows: int = 1) -> None:
        """Count refused rows, with the reason that they share."""
        self.refused[collection] += rows
        self.refusals.append(Note(collection, id, reason))

    def collections(self) -> list[str]:
        """The names of all collections found, in order of appearance."""
        counts = (self.taken, self.already, self.refused, self.adjusted, self.updated, self.kept, self.gone)
        return list(dict.fromkeys(name for count in counts for name in count))
