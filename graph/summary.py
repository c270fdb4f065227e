"""What commands that import share: the report of what they did, and a last word when they cannot begin."""

import json
import sys
from pathlib import Path
from typing import NoReturn

import typer

from resolvers.ingest.odtp_summary import Summary

UNREADABLE = 1
"""Ends a command whose source cannot be read."""
USAGE = 2
"""Ends a command that was typed wrong."""


def write_report(summary: Summary, file: Path) -> None:
    """Write all notes as JSON lines: outcome, collection, id (null when the note is about all rows) and reason."""
    try:
        with file.open("w", encoding="utf-8") as lines:
            for outcome, notes in (("adjusted", summary.adjustments), ("refused", summary.refusals)):
                for note in notes:
                    line = {"outcome": outcome, **note._asdict(), "id": note.id or None}
                    lines.write(json.dumps(line, ensure_ascii=False) + "\n")
    except OSError as error:
        end(f"{file} cannot be written: {error.strerror}.", USAGE)


def end(message: str, code: int) -> NoReturn:
    """End with a message on standard error."""
    typer.echo(message, err=True)
    sys.exit(code)
