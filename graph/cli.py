"""The command line.

The packages of the database and of GraphQL are loaded by the commands that need them, when they run: it takes a second,
for which no help and no client of a server should wait.
"""

import asyncio
import gc
import os
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from graph.explain import explain
from graph.exporting import export_app
from graph.importing_catalogue import import_app
from graph.settings import Settings, SettingsError, load_settings, variable_of
from graph.tokens import token_app
from graph.upload_reports import upload
from graph.work import EPILOG, work

DID_NOT_STAY_UP = "The server did not stay up; the log says why."


def _ingest(name: str | None, once: bool, until_idle: bool, poll: float) -> None:
    from graph.ingesting import Ingesting, run

    run(Ingesting(**({} if name is None else {"name": name}), once=once, until_idle=until_idle, poll=poll))


app = typer.Typer(
    name="provenance-graph",
    help="A GraphQL server that answers where data came from and what ran to make it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(import_app, name="import")
app.add_typer(export_app, name="export")
app.add_typer(token_app, name="token")
app.command()(explain)
app.command(epilog=EPILOG, context_settings={"obj": _ingest})(work)
app.command()(upload)


def main() -> None:
    """Run a command; what can be expected to go wrong ends in a sentence, not in a traceback."""
    try:
        app()
    except SettingsError as error:
        fail(str(error))
    except Exception as error:
        if problem := _problem(error):
            fail(problem)
        raise


def _problem(error: Exception) -> str | None:
    """What a person is told whose database does not start or cannot be used; None of other errors."""
    from pymongo.errors import PyMongoError

    from documents.embedded_errors import EmbeddedError
    from graph.starting import database_problem

    match error:
        case EmbeddedError():
            return str(error)
        case PyMongoError():
            return database_problem(error)
    return None


def fail(message: str) -> NoReturn:
    """End with a message on standard error."""
    typer.echo(message, err=True)
    sys.exit(1)


@contextmanager
def _loading() -> Iterator[None]:
    """Spares a fifth of the time that modules take to load, in which the collector finds nothing to collect."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _settings_in_words() -> str:
    """Every environment variable and what it may hold, a paragraph that keeps its lines."""
    named = sorted((variable_of(name), field.description) for name, field in Settings.model_fields.items())
    return "\b\nSettings, from the environment:\n" + "\n".join(f"  {name:<28}  {about}" for name, about in named)


@app.command(epilog=_settings_in_words())
def serve(
    workers: Annotated[int, typer.Option(min=0, max=64, help="Processes that answer; 0 is one a core.")] = 1,
) -> None:
    """Serve GraphQL.

    Without PROVENANCE_DATABASE_URL on an embedded database, printing a fresh admin token.
    """
    settings = load_settings()
    with _loading():
        from graph.serving import serve as run

    if not run(settings, processes=workers or os.cpu_count() or 1):
        fail(DID_NOT_STAY_UP)


@app.command()
def demo() -> None:
    """Serve sample data, with GraphiQL to look at it.

    It is kept in PROVENANCE_DATA_DIR, so that what is written lasts until the next demo.
    """
    settings = load_settings()
    with _loading():
        from graph.serving import serve_demo as run

    if not run(settings):
        fail(DID_NOT_STAY_UP)


@app.command()
def migrate() -> None:
    """Make the database's missing indexes. Run it when a release is deployed, before it serves."""
    from graph.starting import database_opened

    async def work(settings: Settings) -> None:
        async with database_opened(settings, say):
            say(f"Database {settings.database_name} has all its indexes.")

    run(work(load_settings()))


@app.command()
def schema(
    output: Annotated[Path | None, typer.Option(help="Write to this file instead of standard output.")] = None,
) -> None:
    """Print the schema that the server serves, as SDL."""
    from graph.schema import as_text

    text = as_text()
    if output:
        output.write_text(text, encoding="utf-8")
        say(f"Wrote {output}.")
    else:
        typer.echo(text, nl=False)


@app.command("check-schema")
def check_schema(
    file: Annotated[Path, typer.Argument(help="The schema that clients rely on.")] = Path("schema.graphql"),
) -> None:
    """Find what breaks clients of a schema file.

    Compares it with what the server serves, and ends with 1 when a client that relies on it would break.
    """
    from graphql import GraphQLError, build_schema
    from graphql.utilities import find_breaking_changes, find_dangerous_changes

    from graph.schema import as_text

    try:
        relied_on = build_schema(file.read_text(encoding="utf-8"))
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}.")
    except (GraphQLError, TypeError, UnicodeDecodeError) as error:
        fail(f"{file} is no GraphQL schema: {str(error).splitlines()[0]}")
    served = build_schema(as_text())
    for danger in find_dangerous_changes(relied_on, served):
        say(f"dangerous: {danger.description}")
    breaking = find_breaking_changes(relied_on, served)
    for change in breaking:
        say(f"breaking: {change.description}")
    if breaking:
        fail(f"Clients of {file} would break.")
    say(f"Nothing breaks for clients of {file}.")


def say(line: str) -> None:
    """A line for whoever started the command, apart from what it prints for programs."""
    typer.echo(line, err=True)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Do asynchronous work to its end."""
    asyncio.run(work)
