"""The root type for subscriptions. Each field repeats a query's answer whenever it changes."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Annotated, Any, TypeVar, cast

import strawberry
from strawberry.types import Info

from graph.activities.activity import Activity
from graph.activities.log_entry import LogBatch
from graph.core.projection import fields_below
from graph.twins.execution import Execution
from graph.websocket.session import SubscriptionContext
from resolvers.activities import subscriptions
from resolvers.reads.relations import Children
from resolvers.user_errors import Refusal

F = TypeVar("F", bound=Callable[..., Any])


def _subscription(description: str) -> Callable[[F], F]:
    """Declare a field of the root Subscription type, whose values are those that the decorated method yields."""

    def declare(method: F) -> F:
        field: Any = strawberry.subscription(method, description=description)
        declared: F = field
        return declared

    return declare


def _link_of_logs() -> Children:
    activity: Any = Activity
    (field,) = (field for field in activity.__strawberry_definition__.fields if field.python_name == "logs")
    link: Children = field.bind(None, "logs").link
    return link


LOGS = _link_of_logs()
"""Lines of an activity, in the order of its `logs` field, so that the cursors of both are the same."""

ExecutionId = Annotated[strawberry.ID, strawberry.argument(description="The execution's id.")]
ActivityId = Annotated[strawberry.ID, strawberry.argument(description="Id of a step, a transform or an ingestion.")]
After = Annotated[
    str | None,
    strawberry.argument(
        description="Return only the lines after this cursor, which comes from a batch or from the activity's logs. "
        "An empty string counts as no cursor."
    ),
]


@strawberry.type(
    description="The entry points for following changes, over WebSocket with the graphql-transport-ws protocol."
)
class Subscription:
    @_subscription(
        "Follow an execution: sends its current state, and again after every change of the execution or its steps, "
        "whichever process made the change. Changes in quick succession are sent as one, and a state that looks the "
        "same is not sent again. Completes after a final state."
    )
    async def execution(self, info: Info, id: ExecutionId) -> AsyncGenerator[Execution, None]:
        context = cast(SubscriptionContext, info.context)
        states = subscriptions.execution(context.changes, context.renew_reader, id, fields_below(info))
        async with aclosing(_refusal_as_field_error(states)) as rows:
            async for row in rows:
                yield row

    @_subscription(
        "Follow the log of an activity: sends all lines after the cursor, then new lines as they arrive, each once "
        "and in order of sequence. A line that arrives more than five seconds after one that follows it in the log is "
        "sent out of order, in a batch of its own. After a cursor from the activity's logs, such late lines may "
        "include some that you have already seen. Completes when the activity has reached a final state and all its "
        "lines were sent."
    )
    async def activity_logs(
        self, info: Info, id: ActivityId, after: After = strawberry.UNSET
    ) -> AsyncGenerator[LogBatch, None]:
        context = cast(SubscriptionContext, info.context)
        lines_to_come = subscriptions.activity_logs(context.changes, context.renew_reader, id, after or None, LOGS)
        async with aclosing(_refusal_as_field_error(lines_to_come)) as batches:
            async for lines in batches:
                batch = lines if isinstance(lines, Refusal) else LogBatch(entries=lines.rows, cursor=lines.cursor)
                yield cast(LogBatch, batch)


async def _refusal_as_field_error(events: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    """Yield the events, then the refusal if they end with one: an exception yielded as a field's value becomes an error
    of that field.
    """
    async with aclosing(events) as open_events:
        try:
            async for event in open_events:
                yield event
        except Refusal as refusal:
            yield refusal
