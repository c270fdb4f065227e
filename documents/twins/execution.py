"""A run of a workflow of component versions for a digital twin."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.activities.activity import ActivityStatus
from documents.base import Document, EmbeddedModel, JsonText, Timestamp, now


class WorkflowSchema(EmbeddedModel):
    """The workflow at the time of the execution's creation. `component_versions` are ids, in the order of its steps."""

    workflow_executor: str = Field(alias="workflowExecutor")
    workflow_executor_version: str = Field(alias="workflowExecutorVersion")
    component_versions: list[str] = []
    workflow_executor_schema: JsonText | None = Field(None, alias="workflowExecutorSchema")


class Execution(Document):
    """A run of a workflow. `owner_ref`, `reader_refs` and `public` are copied from its twin; `status` follows from its
    steps.

    `workflow_revision` is the revision of the workflow when its steps were copied, None where that is unknown.
    `runners` are the keys of the viewers who have claimed steps of the execution, and may read it until it ends.
    """

    kind: ClassVar[str] = "execution"

    digital_twin_ref: str = Field(alias="digitalTwinRef")
    owner_ref: str = Field(alias="ownerRef")
    public: bool = False
    reader_refs: list[str] = Field([], alias="readerRefs")
    runners: list[str] = []
    title: str
    description: str | None = None
    tags: list[str] = []
    status: ActivityStatus = ActivityStatus.PENDING
    workflow_schema: WorkflowSchema = Field(alias="workflowSchema")
    workflow_ref: str | None = Field(None, alias="workflowRef")
    workflow_revision: int | None = Field(None, alias="workflowRevision")
    parent_ref: str | None = Field(None, alias="parentRef")
    start_timestamp: Timestamp | None = None
    end_timestamp: Timestamp | None = None
    created_at: Timestamp = Field(default_factory=now)
    updated_at: Timestamp = Field(default_factory=now)
    revision: int = 1

    class Settings:
        name = "executions"
        indexes = [
            IndexModel([("digitalTwinRef", 1), ("title", 1)], unique=True),
            IndexModel([("digitalTwinRef", 1), ("_id", 1)]),
            IndexModel([("digitalTwinRef", 1), ("created_at", 1), ("_id", 1)]),
            IndexModel([("ownerRef", 1), ("_id", 1)]),
            IndexModel([("public", 1), ("_id", 1)]),
            IndexModel([("readerRefs", 1), ("_id", 1)]),
            IndexModel([("runners", 1), ("_id", 1)]),
            IndexModel([("parentRef", 1), ("_id", 1)]),
            IndexModel([("workflowRef", 1), ("_id", 1)]),
            IndexModel([("workflowSchema.component_versions", 1), ("_id", 1)]),
            IndexModel([("status", 1), ("_id", 1)]),
            IndexModel([("tags", 1), ("_id", 1)]),
            IndexModel([("title", 1), ("_id", 1)]),
            IndexModel([("created_at", 1), ("_id", 1)]),
            IndexModel([("start_timestamp", 1), ("_id", 1)]),
            IndexModel([("end_timestamp", 1), ("_id", 1)]),
        ]
