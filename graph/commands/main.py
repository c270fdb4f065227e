"""The command line.

Commands import the packages of the database and of GraphQL when they run: importing takes a second, for which neither
help nor a client of the server should wait.
"""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from graph.commands.console import EXIT_FAILURE, EXIT_USAGE, exit_with_error, print_status
from graph.commands.explain import explain
from graph.commands.export import export_app
from graph.commands.import_catalogue import import_app
from graph.commands.lineage import lineage
from graph.commands.optional_imports import skip_unused_modules, without_rich
from graph.commands.token import token_app
from graph.commands.upload_reports import upload
from graph.commands.work import EPILOG, work
from graph.settings import Settings, SettingsError, load_settings, variable_of
from resolvers.concurrency.garbage_collection import load_modules

DID_NOT_STAY_UP = "The server did not stay up; the log says why."


def _ingest(name: str | None, once: bool, until_idle: bool, poll: float) -> None:
    from graph.server.ingest_process import IngestOptions, run

    run(IngestOptions(**({} if name is None else {"name": name}), once=once, until_idle=until_idle, poll=poll))


app = typer.Typer(
    name="provenance-graph",
    help="A GraphQL server that answers where data came from and what ran to produce it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        typer.echo(version("provenance-graph"))
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


app.add_typer(import_app, name="import")
app.add_typer(export_app, name="export")
app.add_typer(token_app, name="token")
app.command()(explain)
app.command()(lineage)
app.command(epilog=EPILOG, context_settings={"obj": _ingest})(work)
app.command()(upload)


def main() -> None:
    """Run a command; expected errors end in a sentence instead of a traceback."""
    try:
        app()
    except SettingsError as error:
        exit_with_error(str(error))
    except Exception as error:
        if problem := _explain_error(error):
            exit_with_error(problem)
        raise


def _explain_error(error: Exception) -> str | None:
    """A sentence about a database that does not start or cannot be used; None for other errors."""
    from pymongo.errors import PyMongoError

    from documents.embedded_mongod.errors import EmbeddedError
    from documents.migrations import SchemaError
    from documents.storage.bucket import FULL_ERRNOS, BucketUnavailable
    from graph.server.database_errors import explain_database_error

    match error:
        case EmbeddedError() | SchemaError() | BucketUnavailable():
            return str(error)
        case OSError() if error.errno in FULL_ERRNOS:
            return f"{error.filename or 'A file'} cannot be written: {error.strerror}."
        case PyMongoError():
            return explain_database_error(error, load_settings(warn=_ignore))
    return None


def import_libraries() -> None:
    """Import the libraries of the server that have optional parts, without these."""
    skip_unused_modules()
    with without_rich():
        import structlog  # noqa: F401


def _ignore(warning: str) -> None:
    pass


def _settings_epilog() -> str:
    """Every environment variable with its allowed values, as a paragraph that keeps its lines."""
    named = sorted((variable_of(name), field.description) for name, field in Settings.model_fields.items())
    return "\b\nSettings, from the environment:\n" + "\n".join(f"  {name:<28}  {about}" for name, about in named)


@app.command(epilog=_settings_epilog())
def serve(
    workers: Annotated[int, typer.Option(min=0, max=64, help="Server processes; 0 starts one per core.")] = 1,
) -> None:
    """Serve GraphQL.

    Without PROVENANCE_DATABASE_URL it runs an embedded database and prints a fresh admin token.
    """
    settings = load_settings()
    with load_modules():
        import_libraries()
        from graph.server.assemble import serve as run

    if not run(settings, processes=workers or os.cpu_count() or 1):
        exit_with_error(DID_NOT_STAY_UP)


@app.command()
def demo() -> None:
    """Serve sample data, and GraphiQL to explore it.

    The data is kept in PROVENANCE_DATA_DIR, so the next demo has what you wrote.
    """
    settings = load_settings()
    with load_modules():
        import_libraries()
        from graph.server.assemble import serve_demo as run

    if not run(settings):
        exit_with_error(DID_NOT_STAY_UP)


@app.command()
def migrate(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and change nothing.")] = False,
) -> None:
    """Bring the database to this release's schema version, and create its indexes.

    Run it when you deploy a release, before the release serves. It is safe to run again, even after it was killed.
    """
    from graph.commands.migrate import migrate_database, show_plan

    settings = load_settings()
    asyncio.run(show_plan(settings) if dry_run else migrate_database(settings))


@app.command()
def verify(
    hashes: Annotated[bool, typer.Option("--hashes", help="Read all bytes, and compare their SHA-256.")] = False,
    unreferenced: Annotated[
        bool, typer.Option("--unreferenced", help="Name objects, too, that no document refers to.")
    ] = False,
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt",
            help="After a restore: let documents name the bucket of the settings and the new generations of objects "
            "that were copied there, if their bytes have the registered SHA-256.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object on each line, the summary on the last.")
    ] = False,
) -> None:
    """Compare the database with the bucket, and name the objects that are missing or differ.

    Writes nothing, unless it is to adopt objects. Run it after a restore, and from time to time. Exits with 0 when all
    objects are there, with 1 when some are missing or differ, and with 2 for wrong usage.
    """
    from graph.commands.verify import verify as run

    settings = load_settings()
    is_complete = asyncio.run(run(settings, hashes=hashes, unreferenced=unreferenced, adopt=adopt, as_json=as_json))
    if not is_complete:
        raise typer.Exit(EXIT_FAILURE)


@app.command()
def schema(
    output: Annotated[Path | None, typer.Option(help="Write to this file instead of standard output.")] = None,
) -> None:
    """Print the schema that the server serves, as SDL."""
    from graph.schema import as_text

    text = as_text()
    if output:
        output.write_text(text, encoding="utf-8")
        print_status(f"Wrote {output}.")
    else:
        typer.echo(text, nl=False)


@app.command("check-schema")
def check_schema(
    file: Annotated[Path, typer.Argument(help="The schema that clients rely on.")] = Path("schema.graphql"),
) -> None:
    """Find changes that break clients of a schema file.

    Compares the file with the schema that the server serves, and exits with 1 when a client that relies on it would
    break, with 2 when the file is no schema. For intended changes it prints what to do instead.
    """
    from graphql import GraphQLError, build_schema
    from graphql.utilities import find_breaking_changes, find_dangerous_changes

    from graph.commands.breaking_changes import by_remedy
    from graph.schema import as_text

    try:
        relied_on = build_schema(file.read_text(encoding="utf-8"))
    except OSError as error:
        exit_with_error(f"{file} cannot be read: {error.strerror}.", EXIT_USAGE)
    except (GraphQLError, TypeError, UnicodeDecodeError) as error:
        exit_with_error(f"{file} is not a GraphQL schema: {str(error).splitlines()[0]}", EXIT_USAGE)
    served = build_schema(as_text())
    for danger in find_dangerous_changes(relied_on, served):
        print_status(f"dangerous: {danger.description}")
    breaking = by_remedy(change.description for change in find_breaking_changes(relied_on, served))
    for remedy, changes in breaking.items():
        for change in changes:
            print_status(f"breaking{', on purpose' if remedy else ''}: {change}")
        if remedy:
            print_status(f"  instead: {remedy}")
    if breaking:
        exit_with_error(f"Clients of {file} would break.")
    print_status(f"Nothing breaks for clients of {file}.")
