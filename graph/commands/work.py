"""`provenance-graph work`: a worker that runs commands for steps and transforms."""

import logging
import os
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from graph.clients.worker.environment import ENVIRONMENT_VARIABLES
from graph.clients.worker.exit_codes import EXIT_CODES, TRY_AGAIN
from graph.clients.worker.json_log import JSONFormatter
from graph.clients.worker.options import (
    KINDS,
    TOKEN,
    URL,
    ConfigurationError,
    Options,
    default_name,
    graphql_address,
)
from graph.clients.worker.pause import MAX_PAUSE_SECONDS


class LogFormat(StrEnum):
    """The form of log lines."""

    TEXT = "text"
    JSON = "json"


EPILOG = (
    "\b\nExit codes of the command and what follows from them:\n"
    + "\n".join(f"  {codes:<27}  {meaning}" for codes, meaning in EXIT_CODES.items())
    + "\n\n\b\nThe command's environment holds each parameter under its own name, and\n"
    + "\n".join(f"  {name:<27}  {about}" for name, about in ENVIRONMENT_VARIABLES.items())
)


def work(
    context: typer.Context,
    command: Annotated[
        str | None, typer.Option(help="The command to run for each step or transform, in /bin/sh.")
    ] = None,
    ingest: Annotated[
        bool,
        typer.Option("--ingest", help="Ingest uploaded reports instead, with the settings of `serve`."),
    ] = False,
    url: Annotated[
        str, typer.Option(envvar=URL, help="The server's address, such as https://graph.example.")
    ] = "http://127.0.0.1:8000",
    token_file: Annotated[
        Path | None, typer.Option(help=f"A file with the token. Without it, {TOKEN} is the token.")
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="steps or transforms; may be repeated. Both by default.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The worker's name; host and process id by default.")] = None,
    lease: Annotated[
        int, typer.Option(min=2, max=3600, help="Seconds of a lease, which a worker that is alive renews.")
    ] = 60,
    at_once: Annotated[
        int, typer.Option(min=1, max=1000, help="The number of commands that may run at the same time.")
    ] = 1,
    once: Annotated[bool, typer.Option("--once", help="Run one activity, if one is waiting, and exit.")] = False,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="Exit as soon as nothing is waiting.")] = False,
    poll: Annotated[
        float,
        typer.Option(min=0.05, max=3600, help="Seconds between polls when nothing is waiting, varied by up to half."),
    ] = 2.0,
    directory: Annotated[
        Path | None,
        typer.Option(
            file_okay=False, exists=True, help="The directory in which each command gets a folder of its own."
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep these folders for inspection.")] = False,
    retry_on: Annotated[
        list[int] | None, typer.Option(help="Exit code to retry after, instead of 75; may be repeated.")
    ] = None,
    retry_within: Annotated[
        float,
        typer.Option(
            min=0,
            help="Seconds during which requests are repeated while the server or bucket answers 5xx, or not at all.",
        ),
    ] = 600.0,
    connect_within: Annotated[
        float,
        typer.Option(
            min=1,
            max=3600,
            help="Seconds within which the server must answer first; the worker exits with 1 otherwise.",
        ),
    ] = 60.0,
    pause: Annotated[
        float,
        typer.Option(
            min=0.05,
            max=MAX_PAUSE_SECONDS,
            help="Seconds without claims after the worker could not run a command, doubled each time.",
        ),
    ] = 5.0,
    pass_token: Annotated[
        bool, typer.Option("--pass-token", help=f"Pass {TOKEN} to the command, so that it can use the server itself.")
    ] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port on which to serve the worker's metrics for Prometheus, at /metrics."),
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="Address of that port.")] = "127.0.0.1",
    log_format: Annotated[
        LogFormat, typer.Option(help="text for people; json for an object on each line, as the server writes.")
    ] = LogFormat.TEXT,
) -> None:
    """Claim steps and transforms, and run a command for each.

    The command's output becomes log lines: stdout INFO, stderr WARNING. Files that a step leaves in
    PROVENANCE_OUTPUT_DIR are uploaded when it has succeeded. When the lease is lost, or the worker is told to stop, the
    command and every process that it started get SIGTERM, and after 5 seconds SIGKILL. SIGTERM or Ctrl-C stops the
    worker within 8.5 seconds: it finishes what is uploaded by then, and hands back the rest.

    A worker that cannot start a command, for example because its disk is full, hands the step or transform back and
    claims nothing for a while. Requests that a server or bucket answers with 5xx are repeated for 10 minutes, and the
    log of the step or transform says so.

    With --ingest it runs no command and needs neither address nor token, but the server's own settings. Of the other
    options only --name, --once, --until-idle and --poll apply.
    """
    client_options = (command, token_file, kind, directory, retry_on, metrics_port)
    if ingest:
        _ingest(context, name, once, until_idle, poll, any(client_options) or keep or pass_token)
        return
    if command is None:
        raise typer.BadParameter("Give the command to run for each step or transform.", param_hint="--command")
    _check_address(url)
    options = Options(
        url=url,
        token=_token(token_file),
        command=command,
        kinds=_kinds(kind),
        lease=lease,
        at_once=at_once,
        once=once,
        until_idle=until_idle,
        poll=poll,
        directory=directory,
        keep=keep,
        retry_on=tuple(retry_on or (TRY_AGAIN,)),
        retry_within=retry_within,
        connect_within=connect_within,
        pause=pause,
        pass_token=pass_token,
        name=default_name() if name is None else name,
        metrics_host=metrics_host,
        metrics_port=metrics_port,
    )
    _log_to_stderr(log_format)
    # Importing the client takes a moment, which other commands should not wait for.
    from graph.clients.worker.loop import run

    _run_or_exit(lambda: run(options))


def _ingest(
    context: typer.Context, name: str | None, once: bool, until_idle: bool, poll: float, has_client_options: bool
) -> None:
    """Exit: `provenance-graph` itself handles --ingest. This module belongs to a client, and knows no database."""
    if has_client_options:
        raise typer.BadParameter(
            "Only --name, --once, --until-idle and --poll may be given with it.", param_hint="--ingest"
        )
    if context.obj is None:
        raise typer.BadParameter("Run `provenance-graph work --ingest`.", param_hint="--ingest")
    context.obj(name, once, until_idle, poll)


def _check_address(url: str) -> None:
    try:
        graphql_address(url)
    except ConfigurationError as error:
        raise typer.BadParameter(str(error), param_hint="--url") from error


def _token(file: Path | None) -> str:
    if file is None:
        token = os.environ.get(TOKEN, "").strip()
        if not token:
            raise typer.BadParameter(f"Set {TOKEN}, or give --token-file.")
        return token
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} cannot be read: {error}.") from error


def _kinds(names: list[str] | None) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(kind.strip().upper().removesuffix("S") for kind in names or KINDS))
    for kind in kinds:
        if kind not in KINDS:
            raise typer.BadParameter(f"--kind is steps or transforms, not {kind.lower()!r}.")
    return kinds


def _log_to_stderr(format: LogFormat) -> None:
    handler, text = logging.StreamHandler(sys.stderr), logging.Formatter("%(asctime)s %(levelname)-7s %(message)s")
    handler.setFormatter(JSONFormatter() if format is LogFormat.JSON else text)
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("graph.worker").setLevel(logging.INFO)


def _run_or_exit(work: Callable[[], None]) -> None:
    try:
        work()
    except ConfigurationError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    typer.run(work)
