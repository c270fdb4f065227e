"""`provenance-graph token`: creates, lists and revokes API tokens."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from enum import StrEnum
from textwrap import fill
from typing import Annotated, TypeVar

import typer

from graph.commands.console import exit_with_error, print_status
from graph.settings import load_settings
from resolvers.access.viewer import Role
from resolvers.user_errors import NotFound, Refusal

T = TypeVar("T")

LINE_WIDTH = 80
"""Characters of a line that a terminal of the usual size shows."""


class TokenRole(StrEnum):
    """The roles that a token may have: all but that of callers without one."""

    USER = Role.USER
    WORKER = Role.WORKER
    ADMIN = Role.ADMIN


token_app = typer.Typer(help="Create, list and revoke API tokens.", no_args_is_help=True)


@token_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="The token's purpose, by which you recognise it when you revoke it.")],
    role: Annotated[TokenRole, typer.Option(help="The role of the token's bearer.", case_sensitive=False)] = (
        TokenRole.USER
    ),
    user: Annotated[
        str | None, typer.Option(help="Id of the user that the token authenticates; required for a USER token.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until the token expires; never by default.")] = None,
) -> None:
    """Create a token and print its secret, this once."""
    from resolvers.access.tokens import create_token

    lifetime = timedelta(days=days) if days else None
    token, secret = _run(lambda: create_token(role=Role(role), name=name, user_id=user, lifetime=lifetime))
    print_status(f"{token.id}: {token.role} token “{token.name}”. Its secret is shown only now:")
    typer.echo(secret)


@token_app.command("list")
def list_() -> None:
    """List the tokens, without their secrets; times are in UTC."""
    from resolvers.access.tokens import list_tokens

    for token in _run(list_tokens, writes=False):
        _print_wrapped(f"{token.id}  {token.role}  {token.name}", first="", others="    ")
        times = {
            "created": token.created_at,
            "expires": token.expires_at,
            "last used": token.last_used_at,
            "revoked": token.revoked_at,
        }
        facts = [f"for {token.user_ref}"] if token.user_ref else []
        facts += [f"{does} {at:%Y-%m-%d %H:%M}" for does, at in times.items() if at]
        # Facts are wrapped at their commas, not at their blanks.
        _print_wrapped(", ".join(fact.replace(" ", "\N{NO-BREAK SPACE}") for fact in facts), first="  ", others="  ")


def _print_wrapped(text: str, *, first: str, others: str) -> None:
    """Print a text in lines of at most LINE_WIDTH characters, the first and the others with these indents."""
    lines = fill(
        text,
        LINE_WIDTH,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
    typer.echo(lines.replace("\N{NO-BREAK SPACE}", " "))


@token_app.command("revoke")
def revoke(id: Annotated[str, typer.Argument(help="The token's id, as `token list` shows it.")]) -> None:
    """Revoke a token: requests with it are refused from now on."""
    from resolvers.access.tokens import revoke_token

    _run(lambda: revoke_token(id))
    print_status(f"{id} is revoked.")


def _run(work: Callable[[], Awaitable[T]], *, writes: bool = True) -> T:
    """The result, with the database open. Exits when something is not there, or refused as wrong usage is."""
    from graph.server.open_database import open_database_for_command

    async def run() -> T:
        async with open_database_for_command(load_settings(), print_status, writes=writes):
            return await work()

    try:
        return asyncio.run(run())
    except NotFound as refusal:
        exit_with_error(refusal.message)
    except Refusal as refusal:
        raise typer.BadParameter(refusal.message) from refusal
