"""`provenance-graph token`: creates, lists and revokes API tokens."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from graph.commands.console import exit_with_error, print_status
from graph.settings import load_settings
from resolvers.access.viewer import ADMIN, TokenRole
from resolvers.user_errors import NotFound, Refusal

if TYPE_CHECKING:
    from documents.access.token import Token
    from documents.mongo.transaction import Session

T = TypeVar("T")

LINE_WIDTH = 80
"""Characters of a line that a terminal of the usual size shows."""

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
    organisation: Annotated[
        str | None, typer.Option(help="Id of the organisation that a WORKER token is bound to.")
    ] = None,
    resource: Annotated[str | None, typer.Option(help="Id of the resource that a WORKER token is bound to.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until the token expires; never by default.")] = None,
) -> None:
    """Create a token and print its secret, this once."""
    from documents.base import now
    from resolvers.access.token import create_token
    from resolvers.access.token_secret import new_secret

    secret = new_secret()
    token = _run_in_transaction(
        lambda session: create_token(
            session,
            ADMIN,
            secret=secret,
            role=role,
            name=name,
            user_id=user,
            organisation_id=organisation,
            resource_id=resource,
            expires_at=now() + timedelta(days=days) if days else None,
        )
    )
    print_status(f"{token.id}: {token.role} token “{token.name}”. Its secret is shown only now:")
    typer.echo(secret)


@token_app.command("list")
def list_() -> None:
    """List the tokens, without their secrets; times are in UTC."""
    from resolvers.access.token import list_tokens

    for token in _run(list_tokens, writes=False):
        _print_wrapped(f"{token.id}  {token.role}  {token.name}", first="", others="    ")
        times = {
            "created": token.created_at,
            "expires": token.expires_at,
            "last used": token.last_used_at,
            "revoked": token.revoked_at,
        }
        bound_to = token.organisation_ref or token.resource_ref
        facts = [f"for {token.user_ref}"] if token.user_ref else []
        facts += [f"bound to {bound_to}"] if bound_to else []
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
    """Revoke a token with all that it made: requests with them are refused from now on."""
    from resolvers.access.token import revoke_token

    _run_in_transaction(lambda session: revoke_token(session, ADMIN, id=id))
    print_status(f"{id} is revoked.")


def _run_in_transaction(work: "Callable[[Session], Awaitable[dict[str, Any]]]") -> "Token":
    """The token that `work` wrote."""
    from documents.access.token import Token
    from resolvers.writes.transaction import run_in_transaction

    token: Token = Token.model_validate(_run(lambda: run_in_transaction(work))["token"])
    return token


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
