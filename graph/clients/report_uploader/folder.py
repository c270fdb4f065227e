"""The reports in a folder."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

CHUNK_BYTES = 1_048_576

Progress = Callable[[int], None]
"""Receives the number of bytes transferred."""


@dataclass(frozen=True)
class ReportFiles:
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
        with self.archive.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def chunks(self, progress: Progress) -> Iterator[bytes]:
        """The bytes of the archive."""
        with self.archive.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
                progress(len(chunk))


def find_reports(folder: Path) -> list[ReportFiles]:
    """The reports in a folder, the oldest of its server first. JSON files without an archive are ignored."""
    files = (file for file in folder.glob("*.json") if file.is_file())
    candidates = (ReportFiles(file.stem, file, file.with_name(f"{file.stem}.tar.gz")) for file in files)
    return sorted((report for report in candidates if report.archive.is_file()), key=_by_time)


def _by_time(report: ReportFiles) -> tuple[float, str]:
    try:
        return float(report.identifier), report.identifier
    except ValueError:
        return float("inf"), report.identifier
