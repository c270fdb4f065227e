"""The root of subscriptions: what clients may follow. Each field says again what a query would, whenever it changed."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Annotated, Any, TypeVar, cast

import strawberry
from strawberry.types import Info

from graph.activity import Activity
from graph.execution import Execution
from graph.following import Following
from graph.log_entry import LogEntry
from graph.projection import fields_below
from resolvers import watching
from resolvers.links import Many
from resolvers.refusals import Refusal

F = TypeVar("F", bound=Callable[..., Any])


@strawberry.type(description="Lines that follow one another in a log.")
class LogBatch:
    entries: list[LogEntry] = strawberry.field(description="The lines, in order of sequence; at least one.")
    cursor: str = strawberry.field(
        description="The place of the last of them. Give it to after, to go on from here; logs takes it as well."
    )


def _subscription(description: str) -> Callable[[F], F]:
    """A field of the root Subscription type, whose values are what the method below it yields."""

    def declare(method: F) -> F:
        field: Any = strawberry.subscription(method, description=description)
        declared: F = field
        return declared

    return declare


def _link_of_logs() -> Many:
    activity: Any = Activity
    (field,) = (one for one in activity.__strawberry_definition__.fields if one.python_name == "logs")
    link: Many = field.bind(None, "logs").link
    return link


LOGS = _link_of_logs()
"""Lines of an activity in the order of its `logs`, so that cursors of both are the same."""

ExecutionId = Annotated[strawberry.ID, strawberry.argument(description="The execution's id.")]
ActivityId = Annotated[strawberry.ID, strawberry.argument(description="The id of a step, a transform or an ingestion.")]
After = Annotated[
    str | None, strawberry.argument(description="Only what follows this cursor, of a batch or of the activity's logs.")
]


@strawberry.type(description="What can be followed, over WebSocket by graphql-transport-ws.")
class Subscription:
    @_subscription(
        "The present state first, then again after each change of the execution or its steps, whichever "
        "process made it. Changes that follow each other closely come as one, and what looks as before is not sent "
        "again. Completes after a terminal state."
    )
    async def execution(self, info: Info, id: ExecutionId) -> AsyncGenerator[Execution, None]:
        following = cast(Following, info.context)
        rows = watching.execution(following.changes, following.renewed, id, fields_below(info))
        async with aclosing(_refused_in_place(rows)) as told:
            async for row in told:
                yield row

    @_subscription(
        "Everything after the cursor, then what follows, each line once and in order of sequence. "
        "Completes when the activity is in a terminal state and all its lines were sent."
    )
    async def activity_logs(
        self, info: Info, id: ActivityId, after: After = strawberry.UNSET
    ) -> AsyncGenerator[LogBatch, None]:
        following = cast(Following, info.context)
        place = None if after is strawberry.UNSET else after
        pages = watching.activity_logs(following.changes, following.renewed, id, place, LOGS)
        async with aclosing(_refused_in_place(pages)) as told:
            async for page in told:
                batch = page if isinstance(page, Refusal) else LogBatch(entries=page.rows, cursor=page.end_cursor)
                yield cast(LogBatch, batch)


async def _refused_in_place(events: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    """The events, then the refusal if they end by one: an exception as a field's value is an error at its place."""
    async with aclosing(events) as open_events:
        try:
            async for event in open_events:
                yield event
        except Refusal as refusal:
            yield refusal
