"""`provenance-graph explain`: prints how a query would be answered, level by level, without a database."""

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from graph.commands.console import EXIT_USAGE, exit_with_error
from resolvers.access.viewer import ADMIN, ANONYMOUS, Role, Viewer


class Asking(StrEnum):
    """The role whose policy is in the filters."""

    ANONYMOUS = "anonymous"
    USER = "user"
    WORKER = "worker"
    ADMIN = "admin"


VIEWERS = {
    Asking.ANONYMOUS: ANONYMOUS,
    Asking.USER: Viewer(Role.USER, "user_of_the_token"),
    Asking.WORKER: Viewer(Role.WORKER),
    Asking.ADMIN: ADMIN,
}


class Unexplained(Exception):
    """A query for which there is no plan; the message says why."""


class InvalidArgument(Exception):
    """An argument that is neither a query nor variables; the message says why."""


def explain(
    query: Annotated[str, typer.Argument(help="A file, - for standard input, or the query itself.")],
    variables: Annotated[str, typer.Option(help="The query's variables, as JSON.")] = "{}",
    viewer: Annotated[Asking, typer.Option(help="The role of the caller.")] = Asking.ANONYMOUS,
) -> None:
    """Print the plan of a query: collections, filters and page methods. No database is needed."""
    try:
        for line in explanation(_text(query), _variables(variables), VIEWERS[viewer]):
            typer.echo(line)
    except Unexplained as reason:
        exit_with_error(str(reason))
    except InvalidArgument as reason:
        exit_with_error(str(reason), EXIT_USAGE)


def explanation(text: str, variables: dict[str, Any], viewer: Viewer) -> list[str]:
    """The lines of a query's plan. Raises Unexplained."""
    # Making the schema takes a while, which no other command should wait for.
    from graphql import GraphQLError

    from graph.core.selections import condition_variables
    from graph.engine.plan.explain import explain_lines
    from graph.engine.plan.nested_reads import PlanRun
    from graph.engine.plan.row_codegen import UnsupportedByPlan
    from graph.engine.prepare import DocumentCache, InvalidDocument
    from graph.errors import RequestError
    from graph.schema import schema
    from resolvers.reads.loaders import RequestLoader
    from resolvers.user_errors import Refusal

    try:
        prepared = (document_cache := DocumentCache(schema)).prepare(text)
        operation, planner = prepared.operation(None), document_cache.planner
        values = planner.variables(operation).values(variables)
        if values is None:
            raise Unexplained("The query's variables are missing or do not fit: give them with --variables.")
        flags = {name: bool(values.coerced.get(name)) for name in condition_variables(prepared.document)}
        plan = planner.plan(prepared.document, operation, flags)
        return list(explain_lines(plan.template, PlanRun(RequestLoader(viewer), values)))
    except InvalidDocument as refusal:
        raise Unexplained("\n".join(error["message"] for error in refusal.errors)) from refusal
    except UnsupportedByPlan as reason:
        raise Unexplained(f"There is no plan, the standard executor answers: {reason}.") from reason
    except (GraphQLError, Refusal, RequestError) as error:
        raise Unexplained(error.message) from error


def _text(query: str) -> str:
    if query == "-":
        return sys.stdin.read()
    if "{" in query:
        return query
    try:
        return Path(query).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidArgument(f"{query} cannot be read: {getattr(error, 'strerror', None) or error}.") from error


def _variables(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise InvalidArgument(f"The variables are not JSON: {error}.") from error
    if not isinstance(values, dict):
        raise InvalidArgument("The variables must be a JSON object.")
    return values
