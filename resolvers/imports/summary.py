"""The result of an import: the number of rows of each collection by outcome, and the reasons in words."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple


def quantity(number: int, noun: str) -> str:
    """A number with its noun: `1 row`, `1,200 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class Note(NamedTuple):
    """The reason why a row was changed or refused. `id` is the source's; empty if it is about a whole collection."""

    collection: str
    id: str
    reason: str


@dataclass
class Summary:
    """The outcome for the rows of the source, by its collections.

    Each row is counted once: in `taken` if it was inserted, in `updated`, in `refused`, or in `already` if it was here
    before and did not change. In addition, `adjusted` counts the taken rows whose values were changed, and `kept` the
    updated and unchanged rows that differ from the source because they were changed here. `gone` counts rows that were
    imported before and have been deleted in the source since. Logs are counted in lines, refused ones in pages.
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
        """Count an inserted row, and note its adjustments."""
        self.taken[collection] += 1
        if adjustments:
            self.adjust(collection, id, adjustments)

    def adjust(self, collection: str, id: str, adjustments: list[str]) -> None:
        """Count a row as adjusted, and note its adjustments."""
        self.adjusted[collection] += 1
        self.adjustments += [Note(collection, id, reason) for reason in adjustments]

    def update(self, collection: str, id: str, changes: list[str]) -> None:
        """Count an existing row that was updated, and note its changes."""
        self.updated[collection] += 1
        self.updates += [Note(collection, id, change) for change in changes]

    def keep(self, collection: str, id: str, differences: list[str]) -> None:
        """Count a row that differs from the source because it was changed here, and note the differences."""
        self.kept[collection] += 1
        self.differences += [Note(collection, id, difference) for difference in differences]

    def count_gone(self, collection: str, id: str) -> None:
        """Count an imported row that has been deleted in the source."""
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

    def has_news_since(self, previous: "Summary") -> bool:
        """Whether anything was written, or the differences, losses or refusals are not those of the previous import."""
        if self.taken.total() or self.updated.total():
            return True
        notes = (self.differences, self.losses, self.refusals)
        return notes != (previous.differences, previous.losses, previous.refusals)

    def refuse(self, collection: str, id: str, reason: str, rows: int = 1) -> None:
        """Count refused rows, and note the reason that they share."""
        self.refused[collection] += rows
        self.refusals.append(Note(collection, id, reason))

    def collections(self) -> list[str]:
        """The names of all collections found, in order of appearance."""
        counts = (self.taken, self.already, self.refused, self.adjusted, self.updated, self.kept, self.gone)
        return list(dict.fromkeys(name for count in counts for name in count))
