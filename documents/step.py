"""One component version at work within an execution."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.activity import Activity, activity_indexes
from documents.base import Embedded, JsonText
from documents.component import ComponentType


class Borrower(Embedded):
    """The key of somebody who runs an execution that reuses a step, and so may read it until that execution ends."""

    execution: str
    key: str


class Step(Activity):
    """One component version at work within an execution, whose `owner_ref`, `public` and `runners` it repeats.

    `borrowers` are those who run re-runs that reuse it.
    """

    kind: ClassVar[str] = "step"

    execution_ref: str = Field(alias="executionRef")
    component_version_ref: str = Field(alias="component_version")
    owner_ref: str = Field(alias="ownerRef")
    public: bool = False
    runners: list[str] = Field(default_factory=list)
    borrowers: list[Borrower] = Field(default_factory=list)
    key: str
    ordinal: int
    type: ComponentType = ComponentType.EPHEMERAL
    parameters: JsonText = "{}"
    ports: list[str] = Field(default_factory=list)
    inputs: JsonText | None = None
    depends_on: list[str] = Field(default_factory=list, alias="dependsOn")
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
