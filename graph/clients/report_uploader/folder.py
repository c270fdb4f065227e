"""The reports in a folder."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1_048_576
MOST_METADATA = 1_000_000

Progress = Callable[[int], None]
"""Receives the number of bytes transferred."""


@dataclass(frozen=True)
class Pair:
    """A report as Galaxy's exporter leaves it: `<identifier>.json` beside `<identifier>.tar.gz`."""

    identifier: str
    metadata: Path
    archive: Path

    @property
    def size(self) -> int:
        """The archive's size in bytes."""
        return self.archive.stat().st_size

    def sha256(self) -> str:
        """The SHA-256 of the archive in hexadecimal."""
        with self.archive.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()

    def chunks(self, progress: Progress) -> Iterator[bytes]:
        """The bytes of the archive."""
        with self.archive.open("rb") as opened:
            while chunk := opened.read(CHUNK):
                yield chunk
                progress(len(chunk))


def pairs_in(folder: Path) -> list[Pair]:
    """The reports in a folder, the oldest of its server first. JSON files without an archive are ignored."""
    files = (file for file in folder.glob("*.json") if file.is_file())
    found = [Pair(file.stem, file, file.with_name(f"{file.stem}.tar.gz")) for file in files]
    return sorted((pair for pair in found if pair.archive.is_file()), key=_by_time)


def _by_time(pair: Pair) -> tuple[float, str]:
    try:
        return float(pair.identifier), pair.identifier
    except ValueError:
        return float("inf"), pair.identifier
