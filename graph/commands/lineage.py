"""`provenance-graph lineage`: prints what an object was made from, and what it was used for."""

import asyncio
import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from graph.clients.lineage.dot import dot_lines
from graph.clients.lineage.query import QUERY, Lineage
from graph.clients.lineage.tree import notes, tree_lines
from graph.clients.worker.options import TOKEN, URL
from graph.commands.console import EXIT_USAGE, exit_with_error, print_status
from resolvers.limits import MAX_LINEAGE_DEPTH, MAX_LINEAGE_NODES


class Direction(StrEnum):
    """The way to go in the graph."""

    BOTH = "both"
    UPSTREAM = "upstream"
    DOWNSTREAM = "downstream"


def lineage(
    id: Annotated[str, typer.Argument(metavar="ID", help="The id of an object, such as output_….")],
    direction: Annotated[Direction, typer.Option(help="The way to go.")] = Direction.BOTH,
    depth: Annotated[
        int, typer.Option(min=1, max=MAX_LINEAGE_DEPTH, help="Number of edges away from the object, at most.")
    ] = 10,
    limit: Annotated[int, typer.Option(min=1, max=MAX_LINEAGE_NODES, help="Number of objects, at most.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print the server's answer as JSON.")] = False,
    as_dot: Annotated[bool, typer.Option("--dot", help="Print a graph for Graphviz.")] = False,
    url: Annotated[
        str, typer.Option(envvar=URL, help="The server's address, such as https://graph.example.")
    ] = "http://127.0.0.1:8000",
    token_file: Annotated[
        Path | None,
        typer.Option(help=f"A file with a token. Without it {TOKEN} is the token, and without that you are anonymous."),
    ] = None,
) -> None:
    """Print what an object was made from, and what it was used for, as trees.

    Exits with 1 when the server has no such object for you, or does not answer.
    """
    if as_json and as_dot:
        exit_with_error("Give --json or --dot, not both.", EXIT_USAGE)
    variables = {"id": id, "direction": direction.name, "depth": depth, "limit": limit}
    answer = asyncio.run(_ask(url, _token(token_file), variables))
    if answer is None:
        exit_with_error(f"There is no object with id {id} that you may see.")
    if "lineage" not in answer:
        exit_with_error(f"{id} has no lineage: a {answer['__typename']} has no place in the provenance graph.")
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False, indent=2))
        return
    found = Lineage.of(answer["lineage"])
    for line in dot_lines(found) if as_dot else tree_lines(found, direction.name):
        typer.echo(line)
    if as_dot:
        for line in notes(found):
            print_status(line)


def _token(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(TOKEN) or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        exit_with_error(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}.", EXIT_USAGE)


async def _ask(url: str, token: str | None, variables: dict[str, Any]) -> Any:
    """The object with its lineage, None when the server has none for this token."""
    # Importing the client takes a moment, for which help should not wait.
    from graph.clients.worker.client import open_client
    from graph.clients.worker.options import ConfigurationError, graphql_address
    from graph.clients.worker.retry import TransientError

    try:
        address = graphql_address(url)
    except ConfigurationError as error:
        exit_with_error(str(error), EXIT_USAGE)
    try:
        async with open_client(address, token) as client:
            return (await client.query_once(QUERY, **variables))["node"]
    except (ConfigurationError, TransientError) as error:
        exit_with_error(str(error))
