"""A repository whose commits can be run as steps."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp, now


class ComponentType(StrEnum):
    """The way in which a component runs once it is started."""

    EPHEMERAL = "ephemeral"
    INTERACTIVE = "interactive"
    PERSISTENT = "persistent"


class Component(Document):
    """A repository whose versions can be run as steps.

    `deprecations` is incremented with each version that is deprecated or restored, so that two concurrent changes
    conflict when they determine the latest version.
    """

    kind: ClassVar[str] = "component"

    component_name: str = Field(alias="componentName")
    title: str | None = None
    author: str | None = None
    repo_link: str = Field(alias="repoLink")
    type: ComponentType = ComponentType.EPHEMERAL
    status: str = "active"
    description: str | None = None
    tags: list[str] = []
    latest_version_ref: str | None = Field(None, alias="latestVersionRef")
    deprecations: int = 0
    created_at: Timestamp = Field(default_factory=now)
    updated_at: Timestamp = Field(default_factory=now)
    revision: int = 1

    class Settings:
        name = "components"
        indexes = [
            IndexModel([("repoLink", 1)], unique=True),
            IndexModel([("componentName", 1), ("_id", 1)]),
            IndexModel([("tags", 1), ("_id", 1)]),
            IndexModel([("type", 1), ("_id", 1)]),
            IndexModel([("created_at", 1), ("_id", 1)]),
        ]
