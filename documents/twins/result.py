"""Outputs of an execution, grouped under a title."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp, now


class Result(Document):
    """Outputs of an execution under a title. `owner_ref`, `reader_refs` and `public` are copied from the twin."""

    kind: ClassVar[str] = "result"

    digital_twin_ref: str = Field(alias="digitalTwinRef")
    execution_ref: str = Field(alias="executionRef")
    owner_ref: str = Field(alias="ownerRef")
    public: bool = False
    reader_refs: list[str] = Field([], alias="readerRefs")
    title: str
    description: str | None = None
    tags: list[str] = []
    output_refs: list[str] = Field([], alias="output")
    created_at: Timestamp = Field(default_factory=now)
    updated_at: Timestamp = Field(default_factory=now)
    revision: int = 1

    class Settings:
        name = "results"
        indexes = [
            IndexModel([("digitalTwinRef", 1), ("_id", 1)]),
            IndexModel([("executionRef", 1), ("_id", 1)]),
            IndexModel([("output", 1), ("_id", 1)]),
        ]
