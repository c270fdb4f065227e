"""`provenance-graph migrate`: runs the migration steps that a database needs, with progress bars, or prints them."""

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from documents.migrations import Plan, migrate, plan
from graph.server.open_database import connect, database_url
from graph.settings import Settings

Say = Callable[[str], None]


async def migrate_database(settings: Settings, say: Say) -> None:
    """Bring the database to this release's schema version, with a bar for each step. Raises SchemaError."""
    with database_url(settings, say) as url:
        async with connect(url, settings.database_name) as client:
            with _Bars() as bars:
                version = await migrate(client[settings.database_name], bars.tell)
    say(f"Database {settings.database_name} is at schema version {version} and has all its indexes.")


async def show_plan(settings: Settings, say: Say) -> None:
    """Print what migrating the database would do. Raises SchemaError."""
    with database_url(settings, say) as url:
        async with connect(url, settings.database_name) as client:
            for line in in_words(settings.database_name, await plan(client[settings.database_name])):
                say(line)


def in_words(name: str, plan: Plan) -> list[str]:
    """A plan in words, a line for each step and index."""
    at = "is empty" if plan.version is None else f"is at schema version {plan.version}"
    lines = [f"Database {name} {at}; this release needs {plan.newest}."]
    lines += [f"  step {step.version}: {step.does} ({rows:,} documents)" for step, rows in plan.steps]
    lines += [f"  make index {index}" for index in plan.indexes.missing]
    lines += [f"  rebuild index {index}" for index in plan.indexes.changed]
    lines += [f"  drop index {collection}.{index}" for collection, index in plan.indexes.retired]
    return [*lines, "Nothing was changed." if plan.needed else "There is nothing to do."]


class _Bars:
    """Progress bars: one for each step, and one for the indexes."""

    def __init__(self) -> None:
        columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def tell(self, does: str, done: int, total: int) -> None:
        """Show the progress."""
        task = self._tasks.get(does)
        if task is None:
            task = self._tasks[does] = self._progress.add_task(does, total=total)
        self._progress.update(task, completed=done, total=total)
