"""A commit of a component under a version."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, EmbeddedModel, JsonText, Timestamp, now


class ParameterDefinition(EmbeddedModel):
    """A parameter that a run of the version takes. Absent bounds are open."""

    name: str
    datatype: str
    default_value: JsonText | None = Field(None, alias="default-value")
    description: str | None = None
    options: list[JsonText] | None = None
    allow_custom_value: bool = Field(False, alias="allow-custom-value")
    minimum: float | None = None
    maximum: float | None = None


class PortDefinition(EmbeddedModel):
    """A port that the version's container listens on."""

    name: str
    description: str | None = None
    container_port: int = Field(alias="port-value")


class ComponentVersion(Document):
    """A commit of a component under a version. Immutable but for `is_deprecated`."""

    kind: ClassVar[str] = "release"

    component_ref: str = Field(alias="componentId")
    version: str
    component_version: str | None = None
    commit_hash: str = Field(alias="commitHash")
    docker_hub_link: str | None = Field(None, alias="dockerHubLink")
    title: str | None = None
    description: str | None = None
    tags: list[str] = []
    parameters: list[ParameterDefinition] = []
    ports: list[PortDefinition] = []
    secrets: list[str] = []
    metadata: JsonText | None = None
    is_deprecated: bool = Field(False, alias="deprecated")
    created_at: Timestamp = Field(default_factory=now)
    updated_at: Timestamp = Field(default_factory=now)

    class Settings:
        name = "versions"
        indexes = [
            IndexModel([("componentId", 1), ("version", 1)], unique=True),
            IndexModel([("componentId", 1), ("created_at", 1), ("_id", 1)]),
            IndexModel([("componentId", 1), ("_id", 1)]),
            IndexModel([("commitHash", 1), ("_id", 1)]),
            IndexModel([("version", 1), ("_id", 1)]),
            IndexModel([("deprecated", 1), ("_id", 1)]),
            IndexModel([("created_at", 1), ("_id", 1)]),
        ]
