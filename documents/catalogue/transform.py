"""One run of a resource's code."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.activities.activity import Activity, ActivityStatus, activity_indexes, code_index
from documents.base import EmbeddedModel
from documents.provenance.used import Used, used_index


class TransformCauseKind(StrEnum):
    """The reason why a transform is due."""

    REQUESTED = "REQUESTED"
    CODE_CHANGED = "CODE_CHANGED"
    FILES_CHANGED = "FILES_CHANGED"
    INGESTED = "INGESTED"


class FileState(EmbeddedModel):
    """The state of a changed file as it was reported last."""

    generation: str
    sha256: str | None = None
    file_size: int | None = None


class TransformCause(EmbeddedModel):
    """The cause of a transform: the files that changed, or a request. Of `file_count` files the first are listed.

    `states` are those of the listed files, in the same order: None where a file was listed before states were stored.
    """

    kind: TransformCauseKind
    files: list[str] = []
    states: list[FileState | None] = []
    file_count: int = Field(0, alias="fileCount")
    message: str | None = None


class TransformDetails(EmbeddedModel):
    """The results of a finished run. Logs and notebook are URLs."""

    validated: bool | None = None
    logs: str | None = None
    notebook: str | None = None


class Transform(Activity):
    """One run of a resource's code. A resource has at most one transform waiting to be claimed, and one running.

    `used` lists the artifacts that it read: None where nobody has said, an empty list where it read nothing.
    `used_truncated` says that it read more than is listed.
    """

    kind: ClassVar[str] = "transform"

    resource_ref: str = Field(alias="resourceRef")
    details: TransformDetails = Field(default_factory=TransformDetails)
    cause: TransformCause | None = None
    used: list[Used] | None = None
    used_truncated: bool = False

    class Settings:
        name = "transforms"
        indexes = [
            IndexModel(
                [("resourceRef", 1)],
                name="one_waiting",
                unique=True,
                partialFilterExpression={"status": ActivityStatus.READY.value},
            ),
            IndexModel(
                [("resourceRef", 1), ("status", 1)],
                name="one_running",
                unique=True,
                partialFilterExpression={"status": ActivityStatus.RUNNING.value},
            ),
            IndexModel([("resourceRef", 1), ("_id", 1)]),
            IndexModel([("resourceRef", 1), ("created_at", 1), ("_id", 1)]),
            used_index(),
            *activity_indexes(),
            code_index(),
            IndexModel([("status", 1), ("created_at", 1), ("_id", 1)]),
            IndexModel([("created_at", 1), ("_id", 1)]),
            IndexModel([("start_timestamp", 1), ("_id", 1)]),
            IndexModel([("end_timestamp", 1), ("_id", 1)]),
            IndexModel([("code.commit", 1), ("_id", 1)]),
            IndexModel([("details.validated", 1), ("_id", 1)]),
        ]
