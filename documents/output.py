"""A file that a step produced."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Embedded, JsonText, Timestamp, now
from documents.step import Borrower


class OutputType(StrEnum):
    """Whether a file is what the step was run for, or a picture of its working directory."""

    OUTPUT = "output"
    SNAPSHOT = "snapshot"


class AccessControl(Embedded):
    """Who may read an output, beside the twin's owner: everybody, or the named users."""

    public: bool = False
    authorized_users: list[str] = Field(default_factory=list)


class Output(Document):
    """A file that a step produced, with rights of its own: a public twin does not publish its outputs.

    `attempt` is that of the step, 0 for what was imported. `generation` is that of the object whose bytes were read
    and found right, and None for bytes that were never seen here. `runners` and `borrowers` repeat those of the step.
    """

    kind: ClassVar[str] = "output"

    step_ref: str = Field(alias="stepRef")
    owner_ref: str = Field(alias="ownerRef")
    runners: list[str] = Field(default_factory=list)
    borrowers: list[Borrower] = Field(default_factory=list)
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
                # What was imported may repeat a name within a step.
                partialFilterExpression={"attempt": {"$gt": 0}},
            ),
            IndexModel([("ownerRef", 1), ("_id", 1)]),
            IndexModel([("access_control.authorized_users", 1), ("_id", 1)]),
        ]
