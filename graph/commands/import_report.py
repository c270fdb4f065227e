"""Code that the import commands share: the report file, and the message when an import cannot start."""

import json
import sys
from pathlib import Path
from typing import NoReturn

import typer

from resolvers.imports.summary import Summary

UNREADABLE = 1
"""Exit code when the source cannot be read."""
USAGE = 2
"""Exit code for wrong use."""


def write_report(summary: Summary, file: Path) -> None:
    """Write all notes as JSON lines: outcome, collection, id (null when the note is about all rows) and reason."""
    try:
        with file.open("w", encoding="utf-8") as lines:
            for outcome, notes in summary.notes().items():
                for note in notes:
                    line = {"outcome": outcome, **note._asdict(), "id": note.id or None}
                    lines.write(json.dumps(line, ensure_ascii=False) + "\n")
    except OSError as error:
        end(f"{file} cannot be written: {error.strerror}.", USAGE)


def end(message: str, code: int) -> NoReturn:
    """Exit with a message on standard error."""
    typer.echo(message, err=True)
    sys.exit(code)
