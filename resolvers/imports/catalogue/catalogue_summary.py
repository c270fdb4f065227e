"""The summary of a catalogue's import."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from resolvers.imports.folder import FOLDERS, LISTS, TOP, Reason
from resolvers.imports.summary import Summary


@dataclass
class CatalogueSummary(Summary):
    """The outcome for the files of a folder, by their kinds."""

    others: int = 0
    """JSON files that are neither CSV-W documents nor info.json files."""
    files: set[str] = field(default_factory=set)
    """Files that were imported."""

    def add_adjustments(self, decisions: Iterable[Reason]) -> None:
        """Note the decisions that concern imported files, also those on their folders and lists."""
        reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
        for reason in decisions:
            if self._concerns_imported(reason):
                reasons[reason.kind, reason.file].append(reason.reason)
        for (kind, file), texts in reasons.items():
            self.adjust(kind, file, texts)

    def _concerns_imported(self, reason: Reason) -> bool:
        if reason.kind == FOLDERS:
            return any(reason.file == TOP or file.startswith(f"{reason.file}/") for file in self.files)
        return bool(self.files) if reason.kind == LISTS else reason.file in self.files
