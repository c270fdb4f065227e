"""A step: one component version at work within an execution."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.activities.activity import Activity, activity_indexes, code_index
from documents.base import EmbeddedModel, JsonText
from documents.provenance.used import Used, used_index
from documents.twins.component import ComponentType


class ReuseGrant(EmbeddedModel):
    """A grant to the runner of an execution that reuses a step: it may read the step until that execution ends."""

    execution: str
    key: str


class Step(Activity):
    """One component version at work within an execution; owner, `public`, readers and `runners` are copied from it.

    `borrowers` are the runners of re-runs that reuse the step.

    `used` lists the artifacts that it reads: None where nobody has said, an empty list where there are none. A step
    begins with what was said when it was created. The claim of one that waits for others adds the outputs that it may
    take from them, so from then on it has a list, an empty one where they left no outputs. A step that waits for
    nothing reads from outside, which a claim cannot know: None stays None. `used_truncated` says that there were more
    outputs than may be listed.
    """

    kind: ClassVar[str] = "step"

    execution_ref: str = Field(alias="executionRef")
    component_version_ref: str = Field(alias="component_version")
    owner_ref: str = Field(alias="ownerRef")
    public: bool = False
    reader_refs: list[str] = Field([], alias="readerRefs")
    runners: list[str] = []
    borrowers: list[ReuseGrant] = []
    key: str
    ordinal: int
    type: ComponentType = ComponentType.EPHEMERAL
    parameters: JsonText = "{}"
    ports: list[str] = []
    inputs: JsonText | None = None
    depends_on: list[str] = Field([], alias="dependsOn")
    used: list[Used] | None = None
    used_truncated: bool = False
    reused_from_ref: str | None = Field(None, alias="reusedFrom")

    class Settings:
        name = "steps"
        indexes = [
            IndexModel([("executionRef", 1), ("key", 1)], unique=True),
            IndexModel([("executionRef", 1), ("ordinal", 1), ("_id", 1)]),
            IndexModel([("component_version", 1), ("_id", 1)]),
            IndexModel([("dependsOn", 1), ("ordinal", 1)]),
            IndexModel([("executionRef", 1), ("status", 1)]),
            used_index(),
            *activity_indexes(),
            code_index(),
        ]
