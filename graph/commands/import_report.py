"""The report of an import: printed as a summary, and written to a file as JSON lines."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from graph.commands.console import EXIT_USAGE, exit_with_error, first_reasons, print_lines
from resolvers.imports.summary import Summary

if TYPE_CHECKING:
    from rich.console import Console


def print_summary(summary: Summary, console: "Console") -> None:
    """Print the counts of each collection, then the first reasons for changes, adjustments and refusals."""
    from rich.markup import escape
    from rich.table import Table

    counts = {"taken": summary.taken, "adjusted": summary.adjusted, "refused": summary.refused}
    counts["already here"] = summary.already
    # Only repeated imports have these.
    more = {"updated": summary.updated, "kept": summary.kept, "gone": summary.gone}
    counts |= {heading: count for heading, count in more.items() if count.total()}
    table = Table()
    table.add_column("collection")
    for heading in counts:
        table.add_column(heading, justify="right")
    for name in summary.collections():
        table.add_row(escape(name), *(f"{count[name]:,}" for count in counts.values()))
    console.print(table)
    for outcome, notes in summary.notes().items():
        if notes:
            reasons = [f"  {' '.join(filter(None, note[:2]))}: {note.reason}" for note in notes]
            print_lines(["", f"{outcome.capitalize()}:", *first_reasons(reasons)], console)


def write_report(summary: Summary, file: Path) -> None:
    """Write all notes as JSON lines: outcome, collection, id (null when the note is about all rows) and reason."""
    try:
        with file.open("w", encoding="utf-8") as lines:
            for outcome, notes in summary.notes().items():
                for note in notes:
                    line = {"outcome": outcome, **note._asdict(), "id": note.id or None}
                    lines.write(json.dumps(line, ensure_ascii=False) + "\n")
    except OSError as error:
        exit_with_error(f"{file} cannot be written: {error.strerror}.", EXIT_USAGE)
