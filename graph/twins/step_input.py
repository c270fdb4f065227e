"""Inputs of steps: of workflows, and of the executions that run them."""

import strawberry

from graph.core.mutation import convert_each, optional, required, without_unset
from graph.core.scalars import JSON
from graph.provenance.used_input import UsedInput, used_values
from graph.twins.step import ComponentType
from resolvers.twins.execution_validation import StepValues


@strawberry.input(description="A component version to run as a step of a workflow.")
class WorkflowStepInput:
    key: str | None = optional(
        "The step's key, unique within the workflow, at most 255 bytes. Defaults to the step's position in the list."
    )
    component_version_id: strawberry.ID = required(
        "Id of the component version to run. Deprecated versions are refused."
    )
    type: ComponentType | None = optional(  # type: ignore[valid-type]
        "How the step behaves once started; defaults to the behaviour of its component."
    )
    parameters: JSON | None = optional(
        "An object of parameter values by name, as declared by the component version. Parameters omitted here are set "
        "by each execution, or get their defaults. Parameters that the component version does not declare are "
        "accepted with a warning. Values of secrets are refused, because they must never be stored."
    )
    ports: list[str] | None = optional(
        "Port mappings in the form host:container, such as 8501:8501.", default_factory=list
    )
    depends_on: list[str] | None = optional(
        "Keys of the steps that the step waits for. When no step has any, the steps run one after another."
    )
    inputs: JSON | None = optional(
        "The outputs of earlier steps that the step reads, in a format defined by its component."
    )


@strawberry.input(description="A component version to run as a step of an execution.")
class StepInput(WorkflowStepInput):
    key: str | None = optional(
        "The step's key, unique within the execution, at most 255 bytes. Defaults to the step's position in the list."
    )
    parameters: JSON | None = optional(
        "An object of parameter values by name, as declared by the component version. Values may be given as strings, "
        "and omitted parameters get their defaults. Parameters that the component version does not declare are "
        "accepted with a warning. Values of secrets are refused, because they must never be stored."
    )
    used: list[UsedInput] | None = optional(
        "Artifacts that the step reads in addition to the outputs of the steps that it depends on: at most 1,000 for "
        "a step and 10,000 for an execution. Both you and the owner of the digital twin must be able to read those "
        "with an id. The worker fetches outputs in the same way as those of the steps that it depends on; all else is "
        "recorded only. An empty list records that the step reads nothing else."
    )


def workflow_step_values(step: WorkflowStepInput) -> StepValues:
    """The step as plain values, without the fields left out."""
    return without_unset(
        StepValues(
            key=step.key,
            component_version_id=step.component_version_id,
            type=step.type,
            parameters=step.parameters,
            ports=step.ports,
            depends_on=step.depends_on,
            inputs=step.inputs,
        )
    )


def step_values(step: StepInput) -> StepValues:
    """The step as plain values, without the fields left out."""
    return without_unset(
        StepValues(
            key=step.key,
            component_version_id=step.component_version_id,
            type=step.type,
            parameters=step.parameters,
            ports=step.ports,
            depends_on=step.depends_on,
            inputs=step.inputs,
            used=convert_each(used_values, step.used),
        )
    )
