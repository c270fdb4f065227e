"""The console of the commands: status lines, progress bars, lists of reasons, and the message of a failed command."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import typer

# Commands import rich when they print with it: neither help nor the server should wait for that.
if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, TaskID

EXIT_FAILURE = 1
EXIT_USAGE = 2
"""Exit code for wrong usage."""
MAX_REASONS = 20
"""Reasons of each kind that are printed."""

ReportProgress = Callable[[str, int, int], None]
"""Receives the name of a task, the number of its items that are done, and their total."""


def print_status(line: str) -> None:
    """Print a line for the user on standard error, apart from the output for programs on standard output."""
    typer.echo(line, err=True)


def exit_with_error(message: str, code: int = EXIT_FAILURE) -> NoReturn:
    """Exit with a message on standard error."""
    print_status(message)
    sys.exit(code)


def print_lines(lines: Sequence[str], console: "Console") -> None:
    """Print lines as they are, without markup, colours or line breaks of the console's own."""
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def first_reasons(reasons: Sequence[str]) -> list[str]:
    """The first MAX_REASONS lines, followed by one that counts the rest, if there is one."""
    rest = len(reasons) - MAX_REASONS
    return [*reasons[:MAX_REASONS], *([f"  and {rest:,} more"] if rest > 0 else [])]


class ProgressBar:
    """A progress bar that names the current item."""

    def __init__(self, progress: "Progress", total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)

    def name_item(self, name: str) -> None:
        """Show the name of the current item."""
        self._progress.update(self._task, description=name)

    def advance(self, amount: int = 1) -> None:
        """Move the bar on; it moves back by a negative amount."""
        self._progress.update(self._task, advance=amount)


@contextmanager
def progress_bar(console: "Console", total: int, *columns: "ProgressColumn") -> Iterator[ProgressBar]:
    """A progress bar for the block: the name of the current item, the bar, and these columns. Hidden if total is 0."""
    from rich.progress import BarColumn, Progress, TextColumn

    name = TextColumn("{task.description:<20}", markup=False)
    with Progress(name, BarColumn(), *columns, console=console, disable=total == 0) as progress:
        yield ProgressBar(progress, total)


@contextmanager
def progress_bars(console: "Console") -> Iterator[ReportProgress]:
    """A function for the block that shows the progress of several tasks, with a bar for each."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    name = TextColumn("{task.description:<14}", markup=False)
    with Progress(name, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def report(task: str, done: int, total: int) -> None:
            if task not in tasks:
                tasks[task] = bars.add_task(task, total=total)
            bars.update(tasks[task], completed=done, total=total)

        yield report
