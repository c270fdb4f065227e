"""What to run, and what to run again: inputs of executions."""

from __future__ import annotations

import strawberry

from graph.component_type import ComponentType
from graph.enums import described
from graph.mutation import idempotency_key, optional, wanted
from graph.scalars import JSON
from resolvers import rerun

RerunStrategy = described(
    rerun.RerunStrategy,
    "Which steps of an execution run again. The others are SUCCEEDED at once: reusedFrom leads to the steps that ran, "
    "and to their outputs.",
    ALL_STEPS="All of them.",
    FROM_FAILURE="Those that did not succeed, and those that wait for them. The execution must have ended badly.",
    FROM_STEP="The step fromStepId, and those that wait for it. All others must have succeeded.",
)


@strawberry.input(description="A component version to run within an execution.")
class StepInput:
    key: str | None = optional("Defaults to the position.")
    component_version_id: strawberry.ID = wanted("What to run. Deprecated versions are refused.")
    type: ComponentType | None = optional(  # type: ignore[valid-type]
        "How it behaves once it is started; as its component does, when absent."
    )
    parameters: JSON | None = optional(
        "An object of values by name, as the component version describes them. Values may be written as texts; "
        "defaults stand in for what is left out. Values of secrets are refused: they are never stored."
    )
    ports: list[str] | None = wanted("Ports of the host and of the container, such as 8501:8501.", default_factory=list)
    depends_on: list[str] | None = optional("Keys of other steps. Absent everywhere: a chain in list order.")
    inputs: JSON | None = optional("What it takes from the steps before it, in words that it understands.")


@strawberry.input(description="A new execution.")
class CreateExecutionInput:
    idempotency_key: str | None = idempotency_key()
    digital_twin_id: strawberry.ID = wanted("The digital twin to run it for.")
    title: str = wanted("Its title; no two executions of a twin have the same.")
    description: str | None = optional("What it is about.")
    tags: list[str] | None = wanted("Words to find it by.", default_factory=list)
    workflow_executor: str = wanted("What runs the steps.", default="provenance-graph")
    workflow_executor_version: str = wanted("The version of what runs the steps.", default="1")
    steps: list[StepInput] = wanted("What to run, at most 1,000 steps.")
    dry_run: bool = wanted(
        "Validate only; nothing is stored, neither is an idempotencyKey used. execution is null in any case, and "
        "userErrors is empty when the same call without dryRun would be granted.",
        default=False,
    )


@strawberry.input(description="Other parameters for a step that runs again.")
class ParameterOverrideInput:
    step_key: str = wanted("The step's key.")
    parameters: JSON = wanted("An object of values by name. What is left out stays as it was.")


@strawberry.input(description="An execution to run again.")
class RerunExecutionInput:
    idempotency_key: str | None = idempotency_key()
    execution_id: strawberry.ID = wanted("Which execution.")
    title: str | None = optional("The new title; the old one with a number, when absent.")
    strategy: RerunStrategy = wanted("Which steps run again.", default=rerun.RerunStrategy.ALL_STEPS)  # type: ignore[valid-type]
    from_step_id: strawberry.ID | None = optional("For FROM_STEP: the step of the execution to begin with.")
    parameter_overrides: list[ParameterOverrideInput] | None = wanted(
        "Other parameters for steps that run again. Those of a step that is reused are refused.", default_factory=list
    )
