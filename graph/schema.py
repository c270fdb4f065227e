"""The schema: a table of contents of what clients may ask and do."""

from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from graph.activity import ActivityMutation
from graph.archive import ArchiveMutation
from graph.component import ComponentMutation, ComponentQuery
from graph.dataset import DatasetMutation, DatasetQuery
from graph.digital_twin import DigitalTwinMutation, DigitalTwinQuery
from graph.execution import ExecutionMutation, ExecutionQuery
from graph.file_event import FileEventMutation
from graph.gathering import stop_only_what_has_begun
from graph.generation import GenerationMutation
from graph.ingestion import IngestionMutation
from graph.instance import InstanceMutation, InstanceQuery
from graph.job import JobQuery
from graph.log_entry import LogEntryMutation
from graph.node import NodeQuery
from graph.organisation import OrganisationMutation, OrganisationQuery
from graph.output import OutputMutation
from graph.resource import ResourceMutation, ResourceQuery
from graph.result import Result, ResultMutation
from graph.scalars import SCALARS
from graph.subscription import Subscription
from graph.tool_usage import ToolUsageQuery
from graph.transform import TransformMutation, TransformQuery
from graph.upload import UploadMutation
from graph.user import UserMutation, UserQuery
from graph.user_errors import SHOWN_AS, Refusal
from graph.view import VIEWS, finish_views
from graph.viewer import ViewerQuery


@strawberry.type(description="What can be asked.")
class Query(
    NodeQuery,
    ViewerQuery,
    OrganisationQuery,
    ResourceQuery,
    DatasetQuery,
    TransformQuery,
    UserQuery,
    DigitalTwinQuery,
    ExecutionQuery,
    ComponentQuery,
    InstanceQuery,
    JobQuery,
    ToolUsageQuery,
):
    pass


@strawberry.type(
    description="What can be written. Each mutation takes one input and answers a payload with userErrors."
)
class Mutation(
    OrganisationMutation,
    ResourceMutation,
    DatasetMutation,
    TransformMutation,
    FileEventMutation,
    ComponentMutation,
    UserMutation,
    DigitalTwinMutation,
    ExecutionMutation,
    ActivityMutation,
    LogEntryMutation,
    ResultMutation,
    UploadMutation,
    OutputMutation,
    InstanceMutation,
    ArchiveMutation,
    IngestionMutation,
    GenerationMutation,
):
    pass


class Schema(strawberry.Schema):
    """Strawberry's schema; what went wrong in a field is logged where the answer is made, with the request's id."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        pass


def make_schema(
    query: type = Query, mutation: type = Mutation, subscription: type = Subscription, **options: Any
) -> Schema:
    """The schema over all views; tests add fields of their own to its roots."""
    finish_views()
    stop_only_what_has_begun()
    return Schema(
        query=query,
        mutation=mutation,
        subscription=subscription,
        types=[Result, Refusal, *SHOWN_AS.values(), *(shown for shown in VIEWS.values() if _is_concrete(shown))],
        config=StrawberryConfig(scalar_map=SCALARS),
        **options,
    )


def _is_concrete(shown: Any) -> bool:
    definition = shown.__strawberry_definition__
    return not definition.is_interface and not definition.is_graphql_generic and not shown.__name__.endswith("Query")


schema = make_schema()


def as_text() -> str:
    """The schema as SDL, ending in a newline: what schema.graphql holds."""
    return f"{schema.as_str().rstrip()}\n"
