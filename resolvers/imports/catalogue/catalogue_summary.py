"""The summary of a catalogue's import."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from resolvers.imports.folder import FOLDERS, LISTS, TOP, Reason
from resolvers.imports.summary import Summary


@dataclass
class CatalogueSummary(Summary):
    """Counts and reasons: the files of a folder that were imported, adjusted and refused."""

    others: int = 0
    """JSON files that have nothing to do with CSV-W."""
    files: set[str] = field(default_factory=set)
    """Files that were imported."""

    def adjust_taken(self, decided: Iterable[Reason]) -> None:
        """Note decisions on imported files, and on folders and lists that some of them depend on."""
        reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
        for one in decided:
            if self._concerns_taken(one):
                reasons[one.kind, one.file].append(one.reason)
        for (kind, file), some in reasons.items():
            self.adjust(kind, file, some)

    def _concerns_taken(self, decided: Reason) -> bool:
        if decided.kind == FOLDERS:
            return any(decided.file == TOP or file.startswith(f"{decided.file}/") for file in self.files)
        return bool(self.files) if decided.kind == LISTS else decided.file in self.files
