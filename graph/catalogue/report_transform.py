"""Input and payload of ingestTransform, with which a pipeline reports a run."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from graph.catalogue.code_repo import CodeRepoInput
from graph.core.mutation import idempotency_key, optional, required, user_errors_field, without_unset
from graph.core.scalars import JSON
from graph.core.user_error_types import UserError, shows
from graph.provenance.used_input import UsedInput
from resolvers.catalogue import expected_versions
from resolvers.catalogue.read_distributions import DistributionValues

if TYPE_CHECKING:
    from graph.catalogue.dataset_version import DatasetVersion
    from graph.catalogue.resource import Resource
    from graph.catalogue.transform import Transform


@strawberry.input(description="A CSV on the Web (CSVW) document that a run produced.")
class DistributionInput:
    dataset: str | None = optional(
        "The dataset's identifier within the resource. Taken from the CSVW document when omitted: the identifier "
        "given there, else the name of the table's file, else the end of the document's @id. When the folder or query "
        "of the table's address, or the @id, shows that this identifier already belongs to another dataset, a longer "
        "one is found or made, such as 2020-data beside data."
    )
    title: str | None = optional("The dataset's title; taken from the CSVW document when omitted.")
    csvw: JSON | None = optional(
        "The complete CSVW document as JSON. Give either csvw or csvwText; csvwText preserves the exact bytes."
    )
    csvw_text: str | None = optional(
        "The complete CSVW document as text, whose UTF-8 bytes are kept exactly. Give either csvw or csvwText."
    )
    expected_latest_version_id: strawberry.ID | None = optional(
        "Id of the dataset's newest version when the run began, as returned by latestVersion; null when it had none. "
        "When the newest version is another one, the call is refused with REVISION_CONFLICT and nothing is recorded. "
        "When omitted, nothing is compared."
    )


@strawberry.input(description="A run of a resource's code, with the documents that it produced.")
class IngestTransformInput:
    idempotency_key: str | None = idempotency_key()
    organisation_url: str = required(
        "URL of the publisher, its unique key. An organisation is created when there is none with this URL."
    )
    organisation_name: str | None = optional("The publisher's name; recorded only when the organisation has none yet.")
    landing_page: str = required("URL of the page where the publisher offers the data.")
    resource_title: str | None = optional("The resource's title.")
    info: JSON | None = optional("The pipeline's own description (info.json).")
    code_repo: CodeRepoInput = required(
        "The code that ran. Together with landingPage, its repository, the folder of its first source file and its "
        "pipeline (or resourceTitle, when no file is named) identify the resource. When monitorDirs is empty, the "
        "resource keeps its monitored directories."
    )
    transform_id: strawberry.ID | None = optional(
        "Id of the claimed transform to complete. A new transform is recorded when omitted."
    )
    attempt: int | None = optional(
        "The claimed attempt of the transform transformId. An earlier attempt is refused, and nothing is recorded. "
        "Required when your token held an earlier attempt of the transform."
    )
    started_at: datetime | None = optional(
        "When the run began. Without endedAt, up to five minutes ahead of the server's clock is accepted."
    )
    ended_at: datetime | None = optional(
        "When the run ended. Defaults to now, or to startedAt if the worker's clock makes that later."
    )
    validated: bool | None = optional(
        "Whether the output of the run passed validation. Omit when it was not validated."
    )
    logs: str | None = optional("URL of the run's logs.")
    notebook: str | None = optional("URL of the run's notebook.")
    used: list[UsedInput] | None = optional(
        "What the run had read, at most 1,000 artifacts. An empty list records that it read nothing. When omitted, the "
        "run is assumed to have read the sources that info and the CSVW documents name; where they name none, nobody "
        "knows."
    )
    distributions: list[DistributionInput] = required(
        "The documents that the run produced, one for each dataset; at most 200."
    )


def distribution_values(distribution: DistributionInput) -> DistributionValues:
    """The distribution as plain values, without the fields left out."""
    return without_unset(
        DistributionValues(
            dataset=distribution.dataset,
            title=distribution.title,
            csvw=distribution.csvw,
            csvw_text=distribution.csvw_text,
            expected_latest_version_id=distribution.expected_latest_version_id,
        )
    )


@shows(expected_versions.VersionConflict, expected_latest_version_id="expected", latest_version="latest")
@strawberry.type(description="A refusal because the dataset's newest version is not the one that the run was based on.")
class VersionConflict(UserError):
    expected_latest_version_id: strawberry.ID | None = strawberry.field(
        description="The newest version that the call expected; null when it expected none."
    )
    latest_version: Annotated["DatasetVersion", strawberry.lazy("graph.catalogue.dataset_version")] | None = (
        strawberry.field(description="The dataset's newest version. Null when it has none.")
    )


@strawberry.type(description="The run that was recorded, or the reasons why nothing was written.")
class IngestTransformPayload:
    resource: Annotated["Resource", strawberry.lazy("graph.catalogue.resource")] | None = strawberry.field(
        description="The resource whose code ran. Null when the call was refused.", default=None
    )
    transform: Annotated["Transform", strawberry.lazy("graph.catalogue.transform")] | None = strawberry.field(
        description="The transform that represents the run. Null when the call was refused.", default=None
    )
    published: list[Annotated["DatasetVersion", strawberry.lazy("graph.catalogue.dataset_version")]] = strawberry.field(
        description="The dataset versions that this call published; unchanged datasets are not among them.",
        default_factory=list,
    )
    user_errors: list[UserError] = user_errors_field()
