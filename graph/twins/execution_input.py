"""Inputs of createExecution and rerunExecution."""

import strawberry

from graph.core.enums import describe_enum
from graph.core.mutation import convert_each, idempotency_key, optional, required, without_unset
from graph.core.scalars import JSON
from graph.provenance.used_input import UsedInput, used_values
from graph.twins.step_input import StepInput
from resolvers.twins import rerun
from resolvers.twins.chosen_steps import StepOverrideValues
from resolvers.twins.rerun_overrides import ParameterOverrideValues, VersionOverrideValues

RerunStrategy = describe_enum(
    rerun.RerunStrategy,
    "A choice of the steps of an execution to run again. The other steps are SUCCEEDED at once: their reusedFrom "
    "leads to the steps that ran earlier, and to the outputs of those.",
    ALL_STEPS="All steps.",
    FROM_FAILURE="The steps that did not succeed, and those that depend on them. The execution must have failed or "
    "been cancelled.",
    FROM_STEP="The step fromStepId, and the steps that depend on it. All other steps must have succeeded.",
)


@strawberry.input(
    description="Changes to a step of a workflow for one execution. Omitted fields stay as they are in the workflow."
)
class StepOverrideInput:
    step_key: str = required("Key of the step in the workflow.")
    component_version_id: strawberry.ID | None = optional(
        "Id of another version of the same component. Parameters that this version does not accept are left out, with "
        "a warning."
    )
    parameters: JSON | None = optional(
        "An object of parameter values by name. Omitted parameters keep their values from the workflow."
    )
    ports: list[str] | None = optional(
        "The complete list of the step's port mappings in the form host:container, such as 8501:8501."
    )
    used: list[UsedInput] | None = optional(
        "Artifacts that the step reads in addition to the outputs of the steps that it depends on."
    )


@strawberry.input(description="An execution to create, from steps or from a workflow.")
class CreateExecutionInput:
    idempotency_key: str | None = idempotency_key()
    digital_twin_id: strawberry.ID = required("Id of the digital twin for which the execution runs.")
    title: str = required("The execution's title, unique among those of its digital twin.")
    description: str | None = optional("A description of the execution's purpose.")
    tags: list[str] | None = optional("Tags that describe the execution.", default_factory=list)
    workflow_executor: str = optional("Name of the executor that runs the steps.", default="provenance-graph")
    workflow_executor_version: str = optional("Version of the executor that runs the steps.", default="1")
    steps: list[StepInput] = optional(
        "The steps to run, at most 1,000. Give either steps or workflowId.", default_factory=list
    )
    workflow_id: strawberry.ID | None = optional(
        "Id of the workflow to run; its steps are copied in their current state. Give either steps or workflowId."
    )
    overrides: list[StepOverrideInput] | None = optional(
        "Changes to the workflow's steps for this execution only. Requires workflowId."
    )
    dry_run: bool = optional(
        "Whether to validate only: nothing is stored, and no idempotencyKey is used up. The execution in the payload "
        "is then null, and userErrors is empty when the same call without dryRun would succeed.",
        default=False,
    )


@strawberry.input(description="Parameter values that a step gets in a re-run.")
class ParameterOverrideInput:
    step_key: str = required("Key of the step.")
    parameters: JSON = required("An object of parameter values by name. Omitted parameters keep their values.")


@strawberry.input(description="Another version of its component that a step runs in a re-run.")
class ComponentVersionOverrideInput:
    step_key: str = required("Key of the step.")
    component_version_id: strawberry.ID = required(
        "Id of another version of the component that the step ran. The step keeps its parameters, except for those "
        "that this version does not accept, which are left out with a warning. New parameters get their defaults, or "
        "the values in parameterOverrides."
    )
    ports: list[str] | None = optional(
        "The complete list of the step's port mappings in the form host:container, such as 8501:8501. Defaults to the "
        "current mappings."
    )


@strawberry.input(description="An execution to re-run.")
class RerunExecutionInput:
    idempotency_key: str | None = idempotency_key()
    execution_id: strawberry.ID = required("Id of the execution to re-run.")
    title: str | None = optional("Title of the new execution. Defaults to the title of the earlier one, with a number.")
    strategy: RerunStrategy = optional("The choice of steps to run again.", default=rerun.RerunStrategy.ALL_STEPS)  # type: ignore[valid-type]
    from_step_id: strawberry.ID | None = optional(
        "Id of the step with which to begin; only for the strategy FROM_STEP."
    )
    parameter_overrides: list[ParameterOverrideInput] | None = optional(
        "Parameter values for steps that run again. Overrides of steps that are reused are refused.",
        default_factory=list,
    )
    component_version_overrides: list[ComponentVersionOverrideInput] | None = optional(
        "Component versions for steps that run again. Overrides of steps that are reused are refused.",
        default_factory=list,
    )


def step_override_values(override: StepOverrideInput) -> StepOverrideValues:
    """The override as plain values, without the fields left out."""
    return without_unset(
        StepOverrideValues(
            step_key=override.step_key,
            component_version_id=override.component_version_id,
            parameters=override.parameters,
            ports=override.ports,
            used=convert_each(used_values, override.used),
        )
    )


def parameter_override_values(override: ParameterOverrideInput) -> ParameterOverrideValues:
    """The override as plain values."""
    return ParameterOverrideValues(step_key=override.step_key, parameters=override.parameters)


def version_override_values(override: ComponentVersionOverrideInput) -> VersionOverrideValues:
    """The override as plain values, without the fields left out."""
    return without_unset(
        VersionOverrideValues(
            step_key=override.step_key, component_version_id=override.component_version_id, ports=override.ports
        )
    )
