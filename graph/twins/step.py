"""Steps of executions in the GraphQL schema."""

from typing import TYPE_CHECKING

import strawberry

import documents
from documents.twins import component
from graph.activities.activity import Activity, ActivityStatus
from graph.core.enums import describe_enum
from graph.core.pagination import Connection
from graph.core.scalars import JSON
from graph.core.view import (
    argument,
    computed,
    connection,
    lookup,
    many_by_ids,
    many_containing,
    one,
    page_arguments,
    stored,
    view,
)
from graph.core.where import Condition, IDFilter, StringFilter, enum_conditions, sort_key, where_input
from graph.twins.input_file import InputFileConnection
from graph.twins.output import OutputWhere
from resolvers.twins import step_parameters
from resolvers.twins.input_files import input_files

if TYPE_CHECKING:
    from graph.twins.component_version import ComponentVersion
    from graph.twins.execution import Execution
    from graph.twins.output import Output

ComponentType = describe_enum(
    component.ComponentType,
    "The behaviour of a component once started.",
    EPHEMERAL="The component runs to its end.",
    INTERACTIVE="The component serves people through a port while it runs.",
    PERSISTENT="The component keeps running and serves other steps.",
)
BY_ORDINAL = sort_key(documents.Step, "ordinal")

StepWhere = where_input(
    "Step",
    documents.Step,
    **enum_conditions("status", ActivityStatus, "status", "Filter by the step's state."),
    component_version_id=Condition(
        IDFilter, "component_version_ref", "Filter by the component version that the step runs."
    ),
    **enum_conditions("type", ComponentType, "type", "Filter by the step's type."),
    commit=Condition(StringFilter, "code.commit", "Filter by a commit of the code that the step runs."),
)


@view(step_parameters.StepParameter)
class StepParameter:
    """A parameter value with which a step runs."""

    name: str = stored(description="The parameter's name.")
    value: JSON | None = stored(description="The parameter's value.")
    declared: bool = stored(
        description="Whether the parameter is declared by the component version's odtp.yml, or read by every ODTP "
        "component. Undeclared parameters are passed on to the component unchanged."
    )


@view(documents.Step)
class Step(Activity):
    """A step: one component version that runs as part of an execution."""

    execution: "Execution | None" = one(
        documents.Execution,
        "execution_ref",
        description="The execution that the step is part of. Null when you may not see it, as is the case for a "
        "worker that only runs a step which reuses this one.",
    )
    key: str = stored(
        description="The step's key, unique within the execution. Used in dependsOn to refer to the step."
    )
    ordinal: int = stored(description="The step's position in the execution.")
    type: ComponentType = stored(description="How the step behaves once started.")  # type: ignore[valid-type]
    component_version: "ComponentVersion" = one(
        documents.ComponentVersion, "component_version_ref", description="The component version that the step runs."
    )
    parameters: JSON = stored(
        description="The parameter values with which the step runs, as an object by name. Frozen when the execution "
        "was created."
    )
    parameter_list: list[StepParameter] = computed(
        step_parameters.parameter_list,
        "parameters",
        "component_version_ref",
        description="The parameter values with which the step runs, as a list. Each says whether the component "
        "version declares it.",
    )
    ports: list[str] = stored(description="Port mappings in the form host:container, such as 8501:8501.")
    inputs: JSON | None = stored(
        description="The outputs of earlier steps that the step reads, in a format defined by its component."
    )
    depends_on: "list[Step]" = many_by_ids(
        documents.Step, "depends_on", description="The steps that the step waits for."
    )
    dependents: "list[Step]" = many_containing(
        documents.Step,
        "depends_on",
        BY_ORDINAL,
        description="The steps that depend on the step, in the order of their ordinals.",
    )
    reused_from: "Step | None" = one(
        documents.Step,
        "reused_from_ref",
        description="The earlier step whose outputs a re-run reuses in place of running this one. Null when the step "
        "runs itself.",
    )
    input_files: InputFileConnection = computed(
        input_files,
        "depends_on",
        "used",
        "owner_ref",
        "status",
        "claimed_by",
        arguments=page_arguments(),
        description="Files that the step may read as input, ordered by outputId: the outputs, except snapshots, of "
        "the steps that it depends on, or of the steps that these reuse, from the attempt that succeeded; and the "
        "outputs in `used` that you may read. The worker that holds the step reads the latter with the rights of the "
        "step's owner, and is refused with NOT_FOUND when one of them has been deleted or is no longer shared with "
        "the owner.",
    )
    outputs: "Connection[Output]" = connection(
        documents.Output,
        "step_ref",
        where=OutputWhere,
        description="Files that the step produced and that you may see, oldest first. A step may produce both outputs "
        "and snapshots. Empty when a re-run reuses an earlier step: select reusedFrom { outputs } in that case.",
    )


@view()
class StepQuery:
    step: Step | None = lookup(
        documents.Step,
        argument("id", strawberry.ID, description="The step's id."),
        description="The step with this id. Null when no such step exists or you may not see it.",
    )
