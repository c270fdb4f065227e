"""A job that a server ran, as recorded in one of its reports."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, EmbeddedModel, JsonText, Timestamp


class JobMetric(EmbeddedModel):
    """A measurement, exactly as it was written."""

    plugin: str
    name: str
    text: str


class DatasetDirection(StrEnum):
    """The direction of a job's dataset: the job read an input, and wrote an output."""

    INPUT = "input"
    OUTPUT = "output"


class JobDataset(EmbeddedModel):
    """A dataset that a job read or wrote."""

    external_id: int
    size_bytes: int | None = None
    direction: DatasetDirection
    extension: str | None = None
    parameter_name: str | None = None


class JobParameter(EmbeddedModel):
    """A parameter that a job was run with, which only owners of the instance may see."""

    name: str
    value: JsonText


class ReplacedJob(EmbeddedModel):
    """The values of a job in an earlier report, as far as the generation's usage and content hash count them."""

    tool_id: str
    tool_version: str | None = None
    state: str
    created_at: Timestamp | None = None
    runtime_seconds: float | None = None
    digest: bytes


class Job(Document):
    """A job within a generation. Rows are written by resolvers/galaxy/report/job_bson.py, never by this model.

    Its id is made from its generation and its number there, so that storing it twice is idempotent. `over` is the row
    of another archive that it replaced, if any.
    """

    kind: ClassVar[str] = "job"

    instance_ref: str = Field(alias="instanceRef")
    generation_ref: str = Field(alias="generationRef")
    archive_ref: str = Field(alias="archiveRef")
    external_id: int
    tool_id: str
    tool_version: str | None = None
    state: str
    created_at: Timestamp | None = None
    runtime_seconds: float | None = None
    metrics: list[JobMetric] = []
    datasets: list[JobDataset] = []
    parameters: list[JobParameter] = []
    digest: bytes = b""
    over: ReplacedJob | None = None

    @classmethod
    def id_prefix(cls, generation_id: str) -> str:
        """The prefix of the ids of a generation's jobs; the job's own number follows."""
        return f"{cls.kind}_{generation_id.partition('_')[2]}_"

    class Settings:
        name = "jobs"
        indexes = [
            IndexModel([("generationRef", 1), ("external_id", 1), ("_id", 1)]),
            IndexModel([("generationRef", 1), ("created_at", 1), ("_id", 1)]),
            IndexModel([("generationRef", 1), ("tool_id", 1), ("created_at", 1), ("_id", 1)]),
            IndexModel([("generationRef", 1), ("state", 1), ("created_at", 1), ("_id", 1)]),
            IndexModel([("generationRef", 1), ("runtime_seconds", 1), ("_id", 1)]),
            IndexModel([("generationRef", 1), ("archiveRef", 1)]),
            IndexModel(
                [("archiveRef", 1), ("generationRef", 1), ("_id", 1)],
                name="over",
                partialFilterExpression={"over": {"$exists": True}},
            ),
        ]
