"""`provenance-graph migrate`: runs the migration steps that a database needs, with progress bars, or prints them."""

from rich.console import Console

from documents.migrations import Plan, migrate, plan
from graph.commands.console import print_status, progress_bars
from graph.server.open_database import connect_for_command
from graph.settings import Settings


async def migrate_database(settings: Settings) -> None:
    """Bring the database to this release's schema version, with a bar for each step. Raises SchemaError."""
    async with connect_for_command(settings, print_status) as client:
        with progress_bars(Console(stderr=True)) as report:
            version = await migrate(client[settings.database_name], report)
    print_status(f"Database {settings.database_name} is at schema version {version} and has all its indexes.")


async def show_plan(settings: Settings) -> None:
    """Print what migrating the database would do. Raises SchemaError."""
    async with connect_for_command(settings, print_status) as client:
        for line in plan_lines(settings.database_name, await plan(client[settings.database_name])):
            print_status(line)


def plan_lines(name: str, plan: Plan) -> list[str]:
    """A plan in words, a line for each step and index."""
    at = "is empty" if plan.version is None else f"is at schema version {plan.version}"
    lines = [f"Database {name} {at}; this release needs {plan.newest}."]
    lines += [f"  step {step.version}: {step.description} ({rows:,} documents)" for step, rows in plan.steps]
    lines += [f"  make index {index}" for index in plan.indexes.missing]
    lines += [f"  rebuild index {index}" for index in plan.indexes.changed]
    lines += [f"  drop index {collection}.{index}" for collection, index in plan.indexes.retired]
    return [*lines, "Nothing was changed." if plan.has_work else "There is nothing to do."]
