"""The schema: the root types, assembled from the modules of all types."""

from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from graph.access.token import TokenMutation, TokenQuery
from graph.activities.activity import ActivityMutation
from graph.activities.log_entry import LogEntryMutation
from graph.catalogue.dataset import DatasetMutation, DatasetQuery
from graph.catalogue.dataset_version import DatasetVersionQuery
from graph.catalogue.distribution import DistributionQuery
from graph.catalogue.organisation import OrganisationMutation, OrganisationQuery
from graph.catalogue.resource import ResourceMutation, ResourceQuery
from graph.catalogue.transform import TransformMutation, TransformQuery
from graph.core.node import NodeQuery
from graph.core.required_links import check_required_links
from graph.core.scalars import SCALARS
from graph.core.user_error_types import GRAPHQL_TYPES, Refusal
from graph.core.view import VIEWS, resolve_forward_references
from graph.engine.executor import BudgetedExecutor
from graph.engine.graphql_core_patch import patch_graphql_core
from graph.file_events.file_event import FileEventMutation
from graph.galaxy.archive import ArchiveMutation, ArchiveQuery
from graph.galaxy.generation import GenerationMutation, GenerationQuery
from graph.galaxy.ingestion import IngestionMutation, IngestionQuery
from graph.galaxy.instance import InstanceMutation, InstanceQuery
from graph.galaxy.job import JobQuery
from graph.galaxy.tool_usage import ToolUsageQuery
from graph.provenance.code_impact import CodeImpactQuery
from graph.provenance.external_data import ExternalDataQuery
from graph.storage.upload import UploadMutation
from graph.subscription import Subscription
from graph.twins.component import ComponentMutation, ComponentQuery
from graph.twins.component_version import ComponentVersionQuery
from graph.twins.digital_twin import DigitalTwinMutation, DigitalTwinQuery
from graph.twins.digital_twin_access import DigitalTwinAccessMutation
from graph.twins.execution import ExecutionMutation, ExecutionQuery
from graph.twins.output import OutputMutation, OutputQuery
from graph.twins.result import Result, ResultMutation, ResultQuery
from graph.twins.step import StepQuery
from graph.twins.user import UserMutation, UserQuery
from graph.twins.workflow import WorkflowMutation, WorkflowQuery
from graph.viewer import ViewerQuery


@strawberry.type(description="The entry points for reading data.")
class Query(
    NodeQuery,
    ViewerQuery,
    OrganisationQuery,
    ResourceQuery,
    DatasetQuery,
    DatasetVersionQuery,
    DistributionQuery,
    TransformQuery,
    UserQuery,
    TokenQuery,
    DigitalTwinQuery,
    ExecutionQuery,
    WorkflowQuery,
    StepQuery,
    OutputQuery,
    ResultQuery,
    ComponentQuery,
    ComponentVersionQuery,
    InstanceQuery,
    ArchiveQuery,
    IngestionQuery,
    GenerationQuery,
    JobQuery,
    ToolUsageQuery,
    ExternalDataQuery,
    CodeImpactQuery,
):
    pass


@strawberry.type(
    description="The entry points for writing data. Each mutation takes one input and returns a payload with "
    "userErrors."
)
class Mutation(
    OrganisationMutation,
    ResourceMutation,
    DatasetMutation,
    TransformMutation,
    FileEventMutation,
    ComponentMutation,
    UserMutation,
    TokenMutation,
    DigitalTwinMutation,
    DigitalTwinAccessMutation,
    ExecutionMutation,
    WorkflowMutation,
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
    """Strawberry's schema. Errors in fields are logged where the response is made, with the request's id."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        pass


def make_schema(
    query: type = Query, mutation: type = Mutation, subscription: type = Subscription, **options: Any
) -> Schema:
    """Return the schema of all views. Tests pass root types with fields of their own."""
    resolve_forward_references()
    patch_graphql_core()
    made = Schema(
        query=query,
        mutation=mutation,
        subscription=subscription,
        types=[Result, Refusal, *GRAPHQL_TYPES.values(), *(shown for shown in VIEWS.values() if _is_concrete(shown))],
        config=StrawberryConfig(scalar_map=SCALARS),
        execution_context_class=BudgetedExecutor,
        **options,
    )
    check_required_links(made._schema)
    return made


def _is_concrete(shown: Any) -> bool:
    definition = shown.__strawberry_definition__
    return not definition.is_interface and not definition.is_graphql_generic and not shown.__name__.endswith("Query")


schema = make_schema()


def as_text() -> str:
    """Return the schema as SDL ending in a newline, the content of schema.graphql."""
    return f"{schema.as_str().rstrip()}\n"
