"""The reference of the command line: what `--help` says of each command."""

from collections.abc import Iterator
from typing import Any

import typer.main
from typer.core import TyperGroup
from typer.testing import CliRunner

from graph.commands.main import app

NAME = "provenance-graph"
WIDTH = 100


def paths() -> Iterator[tuple[str, ...]]:
    """The words of each command that does something, in the order of `--help`."""
    return _below(typer.main.get_command(app), ())


def _below(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if not isinstance(command, TyperGroup):
        yield words
        return
    for name, below in command.commands.items():
        yield from _below(below, (*words, name))


def commands() -> str:
    """A heading and the help of each command."""
    return "\n\n".join(f"## {' '.join(words)}\n\n```text\n{_help(words)}\n```" for words in paths())


def _help(words: tuple[str, ...]) -> str:
    # The terminal, colours and the variables of whoever writes the page must not show in it.
    environment = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": str(WIDTH)}
    result = CliRunner().invoke(app, [*words, "--help"], prog_name=NAME, env=environment, terminal_width=WIDTH)
    assert result.exit_code == 0, result.output
    return "\n".join(line.rstrip() for line in result.output.strip().splitlines())
