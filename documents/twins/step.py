"""A step: one component version at work within an execution."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.activities.activity import Activity, Used, activity_indexes
from documents.base import EmbeddedModel, JsonText
from documents.twins.component import ComponentType


class ReuseGrant(EmbeddedModel):
    """A grant to the runner of an execution that reuses a step: it may read the step until that execution ends."""

    execution: str
    key: str


class Step(Activity):
    """One component version at work within an execution; owner, `public`, readers and `runners` are copied from it.

    `borrowers` are the runners of re-runs that reuse the step. `used` lists artifacts that it reads beside the outputs
    of the steps that it waits for: None where that was not specified, an empty list where there are none.
    """

    kind: ClassVar[str] = "step"

    execution_ref: str = Field(alias="executionRef")
    component_version_ref: str = Field(alias="component_version")
    owner_ref: str = Field(alias="ownerRef")
    public: bool = False
    reader_refs: list[str] = Field(default_factory=list, alias="readerRefs")
    runners: list[str] = Field(default_factory=list)
    borrowers: list[ReuseGrant] = Field(default_factory=list)
    key: str
    ordinal: int
    type: ComponentType = ComponentType.EPHEMERAL
    parameters: JsonText = "{}"
    ports: list[str] = Field(default_factory=list)
    inputs: JsonText | None = None
    depends_on: list[str] = Field(default_factory=list, alias="dependsOn")
    used: list[Used] | None = None
    reused_from_ref: str | None = Field(None, alias="reusedFrom")

    class Settings:
        name = "steps"
        indexes = [
            IndexModel([("executionRef", 1), ("key", 1)], unique=True),
            IndexModel([("executionRef", 1), ("ordinal", 1), ("_id", 1)]),
            IndexModel([("component_version", 1), ("_id", 1)]),
            IndexModel([("dependsOn", 1), ("ordinal", 1)]),
            IndexModel([("executionRef", 1), ("status", 1)]),
            *activity_indexes(),
        ]
