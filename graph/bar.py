"""The bar of a command that goes through many things one after the other."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn


@contextmanager
def bar(console: Console, total: int, *columns: ProgressColumn) -> Iterator[Progress]:
    """One bar while the block lasts: the name of the thing at work before it, these columns behind."""
    name = TextColumn("{task.description:<20}", markup=False)
    with Progress(name, BarColumn(), *columns, console=console) as progress:
        progress.add_task("", total=total)
        yield progress
