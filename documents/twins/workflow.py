"""A named chain of component versions, to be run again and again."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, EmbeddedModel, JsonText, Timestamp, now
from documents.twins.component import ComponentType


class WorkflowStep(EmbeddedModel):
    """A component version, and the values that it runs with unless an execution says otherwise.

    `parameters` holds only the given values: each execution fills in the version's defaults. `depends_on` are keys of
    other steps.
    """

    key: str
    component_version_ref: str = Field(alias="component_version")
    type: ComponentType = ComponentType.EPHEMERAL
    parameters: JsonText = "{}"
    ports: list[str] = []
    inputs: JsonText | None = None
    depends_on: list[str] = Field([], alias="dependsOn")


class Workflow(Document):
    """Steps under a name, which executions copy. `component_versions` are the ids in `steps`, in the same order.

    `owner_ref` is None where it was imported from a system without owners.
    """

    kind: ClassVar[str] = "workflow"

    owner_ref: str | None = Field(None, alias="ownerRef")
    public: bool = False
    name: str
    description: str | None = None
    tags: list[str] = []
    steps: list[WorkflowStep] = []
    component_versions: list[str] = []
    created_at: Timestamp = Field(default_factory=now)
    updated_at: Timestamp = Field(default_factory=now)
    revision: int = 1

    class Settings:
        name = "workflows"
        indexes = [
            IndexModel([("ownerRef", 1), ("name", 1)], unique=True),
            IndexModel([("ownerRef", 1), ("_id", 1)]),
            IndexModel([("public", 1), ("_id", 1)]),
            IndexModel([("name", 1), ("_id", 1)]),
            IndexModel([("tags", 1), ("_id", 1)]),
            IndexModel([("component_versions", 1), ("_id", 1)]),
            IndexModel([("created_at", 1), ("_id", 1)]),
            IndexModel([("updated_at", 1), ("_id", 1)]),
        ]
