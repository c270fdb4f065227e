"""Progress bars for commands that process many items."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

if TYPE_CHECKING:
    from resolvers.imports.odtp.collection_import import Progress as Report


@contextmanager
def bar(console: Console, total: int, *columns: ProgressColumn) -> Iterator[Progress]:
    """A progress bar for the block: the name of the current item, the bar, and these columns. None when total is 0."""
    name = TextColumn("{task.description:<20}", markup=False)
    with Progress(name, BarColumn(), *columns, console=console, disable=total == 0) as progress:
        progress.add_task("", total=total)
        yield progress


@contextmanager
def progress_bars(console: Console) -> Iterator["Report"]:
    """A function that shows the progress of each collection, with one bar per collection, for the block."""
    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, TaskID] = {}

        def show(collection: str, done: int, total: int) -> None:
            if collection not in tasks:
                tasks[collection] = bars.add_task(collection, total=total)
            bars.update(tasks[collection], completed=done, total=total)

        yield show
