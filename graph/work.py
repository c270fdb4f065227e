"""`provenance-graph work`: a worker to start from."""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from graph.worker.environment import GIVEN
from graph.worker.options import KINDS, TOKEN, URL, Misused, Options

EPILOG = "\b\nThe command finds in its environment each parameter under its own name, and\n" + "\n".join(
    f"  {name:<25}  {about}" for name, about in GIVEN.items()
)


def work(
    context: typer.Context,
    command: Annotated[str | None, typer.Option(help="What to run for each step or transform, in /bin/sh.")] = None,
    ingest: Annotated[
        bool,
        typer.Option("--ingest", help="Turn uploaded reports into jobs instead, with the settings of `serve`."),
    ] = False,
    url: Annotated[
        str, typer.Option(envvar=URL, help="Where the server is, such as https://graph.example.")
    ] = "http://127.0.0.1:8000",
    token_file: Annotated[
        Path | None, typer.Option(help=f"A file with the token. Without it, {TOKEN} is the token.")
    ] = None,
    kind: Annotated[
        list[str] | None, typer.Option(help="steps or transforms; may be repeated. Both, when left out.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The worker's name; host and process id, when left out.")] = None,
    lease: Annotated[int, typer.Option(min=2, max=3600, help="Seconds that the worker may be silent.")] = 60,
    at_once: Annotated[int, typer.Option(min=1, max=1000, help="How many commands may run at the same time.")] = 1,
    once: Annotated[bool, typer.Option("--once", help="Run one, if one waits, and end.")] = False,
    until_idle: Annotated[bool, typer.Option("--until-idle", help="End as soon as nothing waits.")] = False,
    poll: Annotated[
        float, typer.Option(min=0.05, max=3600, help="Seconds between looks when nothing waits, more or less a half.")
    ] = 2.0,
    directory: Annotated[
        Path | None, typer.Option(file_okay=False, exists=True, help="Where each command gets a folder of its own.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep these folders, to look at them.")] = False,
    retry_on: Annotated[
        list[int] | None, typer.Option(help="Exit code that is worth another attempt; may be repeated.")
    ] = None,
    pass_token: Annotated[
        bool, typer.Option("--pass-token", help=f"Let the command have {TOKEN}, to speak to the server itself.")
    ] = False,
) -> None:
    """Claim steps and transforms, and run a command for each.

    Exit code 0 means that it succeeded, 75 (or what --retry-on says) that trying again may help, and everything else
    that it failed. What the command writes becomes log lines: stdout INFO, stderr WARNING. Files that a step leaves in
    PROVENANCE_OUTPUT_DIR are uploaded when it has succeeded. A command whose lease is lost, or whose worker is told to
    stop, is ended with SIGTERM, and after 5 seconds with SIGKILL, with all that it has started. SIGTERM or Ctrl-C
    stops the worker, which hands back what it holds.

    With --ingest it runs no command and needs neither address nor token, but the settings that the server has. Of the
    other options --name, --once, --until-idle and --poll go with it.
    """
    others = (command, token_file, kind, directory, retry_on)
    if ingest:
        _ingest(context, name, once, until_idle, poll, any(others) or keep or pass_token)
        return
    if command is None:
        raise typer.BadParameter("Say what to run for each step or transform.", param_hint="--command")
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
        retry_on=tuple(retry_on or (os.EX_TEMPFAIL,)),
        pass_token=pass_token,
        **({} if name is None else {"name": name}),
    )
    _speak_on_stderr()
    # Loading the client takes a moment, which other commands do without.
    from graph.worker.claiming import run

    _ended_in_words(lambda: run(options))


def _ingest(context: typer.Context, name: str | None, once: bool, until_idle: bool, poll: float, misled: bool) -> None:
    """What the server's own command line does with --ingest. This file is that of a client, and knows no database."""
    if misled:
        raise typer.BadParameter("Only --name, --once, --until-idle and --poll go with it.", param_hint="--ingest")
    if context.obj is None:
        raise typer.BadParameter("Run `provenance-graph work --ingest`.", param_hint="--ingest")
    context.obj(name, once, until_idle, poll)


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


def _kinds(given: list[str] | None) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(kind.strip().upper().removesuffix("S") for kind in given or KINDS))
    for kind in kinds:
        if kind not in KINDS:
            raise typer.BadParameter(f"--kind is steps or transforms, not {kind.lower()!r}.")
    return kinds


def _speak_on_stderr() -> None:
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)-7s %(message)s", level=logging.WARNING)
    logging.getLogger("graph.worker").setLevel(logging.INFO)


def _ended_in_words(work: Callable[[], None]) -> None:
    try:
        work()
    except Misused as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    typer.run(work)
