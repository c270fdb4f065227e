"""What a pipeline reports of a run, and what it is answered."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from graph.code_repo import CodeRepoInput
from graph.mutation import idempotency_key, optional, refused, wanted
from graph.scalars import JSON
from graph.user_errors import UserError

if TYPE_CHECKING:
    from graph.dataset_version import DatasetVersion
    from graph.resource import Resource
    from graph.transform import Transform


@strawberry.input(description="A CSV on the Web document that a run made.")
class DistributionInput:
    dataset: str | None = optional("Dataset identifier within the resource; taken from the csvw document when absent.")
    title: str | None = optional("The dataset's title; taken from the csvw document when absent.")
    csvw: JSON | None = optional("The whole document. csvwText keeps its exact bytes; give one of the two.")
    csvw_text: str | None = optional("The whole document as its text, whose bytes (UTF-8) are kept as they are.")


@strawberry.input(description="A run of a resource's code with everything it made.")
class IngestTransformInput:
    idempotency_key: str | None = idempotency_key()
    organisation_url: str = wanted("The publisher's natural key. Created when it is new.")
    organisation_name: str | None = optional("What the publisher calls itself; fills in a name that is missing.")
    landing_page: str = wanted("The page where the publisher offers the data.")
    resource_title: str | None = optional("The resource's title.")
    info: JSON | None = optional("The pipeline's own description (info.json).")
    code_repo: CodeRepoInput = wanted(
        "The code that ran. With landingPage, its repository and the folder of its first source file (or the title, "
        "when no file is named) say which resource is meant. Without directories those of the resource stay."
    )
    transform_id: strawberry.ID | None = optional("A claimed transform to complete; without it a new one is recorded.")
    started_at: datetime | None = optional("When the run began.")
    ended_at: datetime | None = optional("When the run ended; now, when absent.")
    validated: bool | None = optional("Whether what it made was found to be good.")
    logs: str | None = optional("URL of its logs.")
    notebook: str | None = optional("URL of its notebook.")
    distributions: list[DistributionInput] = wanted("What it made, at most 200 documents, one a dataset.")


@strawberry.type(description="A run that was recorded, or why it was not.")
class IngestTransformPayload:
    resource: Annotated[Resource, strawberry.lazy("graph.resource")] | None = strawberry.field(
        description="Whose code ran.", default=None
    )
    transform: Annotated[Transform, strawberry.lazy("graph.transform")] | None = strawberry.field(
        description="The run.", default=None
    )
    published: list[Annotated[DatasetVersion, strawberry.lazy("graph.dataset_version")]] = strawberry.field(
        description="Only those that this call published.", default_factory=list
    )
    user_errors: list[UserError] = refused()
