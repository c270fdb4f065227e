"""A file that a step produced."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, EmbeddedModel, JsonText, Timestamp, now
from documents.twins.step import ReuseGrant


class OutputType(StrEnum):
    """The role of a file: an intended result of the step, or a snapshot of its working directory."""

    OUTPUT = "output"
    SNAPSHOT = "snapshot"


class AccessControl(EmbeddedModel):
    """Access to an output beyond the twin's owner: everybody, or the named users."""

    public: bool = False
    authorized_users: list[str] = []


class Output(Document):
    """A file that a step produced, with its own access control: a public twin does not publish its outputs.

    `owner_ref` and `reader_refs` are copied from the twin: its readers read outputs too.

    `attempt` is the step's, 0 for imported outputs. `generation` identifies the stored bytes that were verified, and is
    None for bytes that this server never read. `runners` and `borrowers` are copied from the step.
    """

    kind: ClassVar[str] = "output"

    step_ref: str = Field(alias="stepRef")
    owner_ref: str = Field(alias="ownerRef")
    reader_refs: list[str] = Field([], alias="readerRefs")
    runners: list[str] = []
    borrowers: list[ReuseGrant] = []
    attempt: int = 0
    output_type: OutputType = OutputType.OUTPUT
    file_name: str
    file_size: int | None = None
    file_type: str | None = None
    sha256: str | None = None
    bucket: str = Field(alias="s3_bucket")
    key: str = Field(alias="s3_key")
    generation: int | None = None
    metadata: JsonText | None = None
    access_control: AccessControl = Field(default_factory=AccessControl)
    created_at: Timestamp = Field(default_factory=now)
    updated_at: Timestamp = Field(default_factory=now)
    revision: int = 1

    class Settings:
        name = "outputs"
        indexes = [
            IndexModel([("stepRef", 1), ("_id", 1)]),
            IndexModel(
                [("stepRef", 1), ("attempt", 1), ("output_type", 1), ("file_name", 1)],
                name="registered_once",
                unique=True,
                # Imported outputs may repeat a name within a step.
                partialFilterExpression={"attempt": {"$gt": 0}},
            ),
            IndexModel([("ownerRef", 1), ("_id", 1)]),
            IndexModel([("readerRefs", 1), ("_id", 1)]),
            IndexModel([("access_control.public", 1), ("_id", 1)]),
            IndexModel([("access_control.authorized_users", 1), ("_id", 1)]),
            IndexModel([("runners", 1), ("_id", 1)]),
            IndexModel([("borrowers.key", 1), ("_id", 1)]),
            IndexModel([("output_type", 1), ("_id", 1)]),
            IndexModel([("file_name", 1), ("_id", 1)]),
            IndexModel([("file_type", 1), ("_id", 1)]),
            IndexModel([("sha256", 1), ("_id", 1)]),
            IndexModel([("created_at", 1), ("_id", 1)]),
        ]
