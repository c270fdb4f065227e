"""Steps of executions, as clients see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import strawberry

import documents
from graph.activity import Activity, ActivityStatus
from graph.component_type import ComponentType
from graph.connection import Connection
from graph.output import DOWNLOAD_NEEDS, OutputWhere, SignedUrl, expires_in
from graph.scalars import JSON, BigInt
from graph.view import argument, computed, listed, many, one, referring, stored, view
from graph.where import By, IDFilter, sort_key, where_input
from resolvers import input_files
from resolvers.output import download_urls

if TYPE_CHECKING:
    from graph.component_version import ComponentVersion
    from graph.execution import Execution
    from graph.output import Output

BY_ORDINAL = sort_key(documents.Step, "ordinal")

StepWhere = where_input(
    "Step",
    documents.Step,
    combined=False,
    status=By(list[ActivityStatus], "status", "In one of these states."),  # type: ignore[valid-type]
    component_version_id=By(IDFilter, "component_version_ref", "What it runs."),
    type=By(list[ComponentType], "type", "Of one of these types."),  # type: ignore[valid-type]
)


@view(input_files.InputFile)
class InputFile:
    """A file that a step may take as its input."""

    output_id: strawberry.ID = stored("id", description="The output that it is.")
    step_key: str = stored(description="Key of the step that the taking one waits for, whether that ran or reuses one.")
    file_name: str = stored(description="Its name, or its path below the output directory of its step.")
    file_size: BigInt | None = stored(description="Its size in bytes.")
    file_type: str | None = stored(description="Its media type.")
    sha256: str | None = stored(description="SHA-256 of its bytes, in hexadecimal.")
    download_url: SignedUrl | None = computed(
        download_urls,
        *DOWNLOAD_NEEDS,
        arguments=[expires_in()],
        description="A short-lived signed URL, made for this request. Null when the bytes are not in a bucket of ours.",
    )


@view(documents.Step)
class Step(Activity):
    """One component version at work within an execution."""

    execution: Execution = one(documents.Execution, "execution_ref", description="What it is part of.")
    key: str = stored(description="Unique within the execution; what dependsOn names.")
    ordinal: int = stored(description="Its place in the execution.")
    type: ComponentType = stored(description="How it behaves once it is started.")  # type: ignore[valid-type]
    component_version: ComponentVersion = one(
        documents.ComponentVersion, "component_version_ref", description="What it runs."
    )
    parameters: JSON = stored(description="The values it runs with, frozen when the execution was made.")
    ports: list[str] = stored(description="Ports of the host and of the container, such as 8501:8501.")
    inputs: JSON | None = stored(description="What it takes from the steps before it.")
    depends_on: list[Step] = listed(documents.Step, "depends_on", description="The steps that it waits for.")
    dependents: list[Step] = referring(
        documents.Step, "depends_on", BY_ORDINAL, description="The steps that wait for it, in order of ordinal."
    )
    reused_from: Step | None = one(
        documents.Step,
        "reused_from_ref",
        description="Set where a re-run took an earlier step's outputs instead of running it: the step that ran, whose "
        "outputs these are.",
    )
    input_files: list[InputFile] = computed(
        input_files.input_files,
        "depends_on",
        arguments=[
            argument("first", int | None, description="How many, 1 to 100.", default=input_files.MOST_AT_ONCE),
            argument("after", strawberry.ID | None, description="Only what follows this outputId.", default=None),
        ],
        description="What it may take as its input, by outputId: the outputs, snapshots aside, of the steps that it "
        "waits for, or of those that these reuse, from the attempt that succeeded.",
    )
    outputs: Connection[Output] = many(
        documents.Output,
        "step_ref",
        where=OutputWhere,
        description="Files that it produced and you may see, oldest first. A step may leave both an output and a "
        "snapshot. Empty where a re-run took an earlier step's: those are at reusedFrom { outputs }.",
    )
