"""Reports of new and changed files in the GraphQL schema."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import strawberry
from strawberry.types import Info

from graph.catalogue.transform import Transform
from graph.core.mutation import idempotency_key, mutation, optional, or_none, required, run_mutation
from graph.core.scalars import BigInt
from graph.core.user_error_types import UserError
from graph.core.user_error_types import user_errors as as_user_errors
from resolvers.file_events.file_event import FileReport, report_files
from resolvers.user_errors import InvalidInput, Refusals


@strawberry.input(description="A file in its current state.")
class FileEventInput:
    url: str = required(
        "The file's address, such as gs://bucket/folder/file.csv, in which everything after the bucket is the "
        "object's name taken literally, without percent-encoding. A web address, selfLink or mediaLink of an object "
        "in Google Cloud Storage stands for that object. User names, passwords and signatures in the address are not "
        "kept. An address that ends in a slash is a directory and is ignored."
    )
    generation: str = required(
        "A value that changes whenever the file changes, such as the object's generation, an ETag or a hash. If two "
        "generations are whole numbers, the smaller one is the older."
    )
    updated_at: datetime | None = optional(
        "When the file was last changed. When omitted, files in the first report of a directory count as already "
        "present, and files in later reports as new."
    )
    size_bytes: BigInt | None = optional("The file's size in bytes.")
    sha256: str | None = optional("SHA-256 of the file's bytes, in hexadecimal.")


@strawberry.input(description="Files that appeared or changed, or a complete list of the files that exist.")
class ReportFilesInput:
    idempotency_key: str | None = idempotency_key()
    files: list[FileEventInput] = required("The files, at most 1,000, in any order.")


@strawberry.type(
    description="The transforms that wait because of the reported files, and the reasons why files were refused."
)
class ReportFilesPayload:
    due: list[Transform] = strawberry.field(
        description="The transforms that became due, and those that were due already and have further files to "
        "process. Empty when no file is new.",
        default_factory=list,
    )
    user_errors: list[UserError] = strawberry.field(
        description="The reasons why single files were refused; the other files were recorded. When the whole call "
        "was refused, the reasons why nothing was recorded.",
        default_factory=list,
    )


def _payload(
    *, user_errors: list[UserError], due: Sequence[Any] = (), refused: Sequence[dict[str, Any]] = ()
) -> ReportFilesPayload:
    """Return the payload of a report, some of whose files may have been refused."""
    errors = user_errors + as_user_errors(
        Refusals([InvalidInput(refusal["message"], *refusal["path"]) for refusal in refused])
    )
    return ReportFilesPayload(due=list(due), user_errors=errors)


def _file_report(file: FileEventInput) -> FileReport:
    return FileReport(
        url=file.url,
        generation=file.generation,
        updated_at=or_none(file.updated_at),
        size_bytes=or_none(file.size_bytes),
        sha256=or_none(file.sha256),
    )


@strawberry.type
class FileEventMutation:
    @mutation(
        "Report files that appeared or changed, and make the transforms due that depend on them. A resource's "
        "transform becomes due when a file below one of its monitored directories appeared or changed, according to "
        "its updatedAt, after monitoring of that directory began. Files that were present before are recorded without "
        "making a transform due. Repeated reports of the same file and generation have no effect. For workers and "
        "administrators."
    )
    async def report_files(self, info: Info, input: ReportFilesInput) -> ReportFilesPayload:
        return await run_mutation(
            info,
            input,
            _payload,
            lambda session, viewer: report_files(session, viewer, files=[_file_report(file) for file in input.files]),
        )
