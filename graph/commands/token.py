"""`provenance-graph token`: creates, lists and revokes API tokens."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, TypeVar

import typer
from rich.console import Console
from rich.table import Column, Table

from graph.commands.console import print_status
from graph.settings import load_settings
from resolvers.access.viewer import Role
from resolvers.user_errors import Refusal

T = TypeVar("T")
token_app = typer.Typer(help="Create, list and revoke API tokens.", no_args_is_help=True)


@token_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="The token's purpose, by which you recognise it when you revoke it.")],
    role: Annotated[Role, typer.Option(help="The role of the token's bearer.", case_sensitive=False)] = Role.USER,
    user: Annotated[
        str | None, typer.Option(help="Id of the user that the token authenticates; required for a USER token.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until the token expires; never by default.")] = None,
) -> None:
    """Create a token and print its secret, this once."""
    from resolvers.access.tokens import create_token

    lifetime = timedelta(days=days) if days else None
    token, secret = _run(lambda: create_token(role=role, name=name, user_id=user, lifetime=lifetime))
    print_status(f"{token.id}: {token.role} token “{token.name}”. Its secret is shown only now:")
    typer.echo(secret)


@token_app.command("list")
def list_() -> None:
    """List the tokens, without their secrets."""
    from resolvers.access.tokens import list_tokens

    # The id is for copying into `token revoke`, so it is never cut.
    id = Column("id", no_wrap=True, min_width=len("token_") + 24)
    table = Table(id, "name", "role", "user", "made", "expires", "last used", "revoked")
    for token in _run(list_tokens):
        times = (token.created_at, token.expires_at, token.last_used_at, token.revoked_at)
        table.add_row(token.id, token.name, token.role, token.user_ref or "", *(_format_time(at) for at in times))
    Console().print(table)


@token_app.command("revoke")
def revoke(id: Annotated[str, typer.Argument(help="The token's id, as `token list` shows it.")]) -> None:
    """Revoke a token: requests with it are refused from now on."""
    from resolvers.access.tokens import revoke_token

    _run(lambda: revoke_token(id))
    print_status(f"{id} is revoked.")


def _run(work: Callable[[], Awaitable[T]]) -> T:
    """The result, with the database open. A refusal ends the command as wrong usage does."""
    from graph.server.open_database import open_database_for_command

    async def run() -> T:
        async with open_database_for_command(load_settings(), print_status):
            return await work()

    try:
        return asyncio.run(run())
    except Refusal as refusal:
        raise typer.BadParameter(refusal.message) from refusal


def _format_time(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M") if at else ""
