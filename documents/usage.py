"""How often a tool was used: jobs of one generation, counted beforehand."""

import hashlib
import json
from enum import StrEnum
from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document


class UsageLevel(StrEnum):
    """What a document tells apart. Each job is counted once at each level."""

    TOOL = "TOOL"
    """Tools."""
    STATE = "STATE"
    """Tools, versions and states."""
    YEAR = "YEAR"
    """States and years, whatever the tool."""


class Usage(Document):
    """Jobs of one generation that are alike, at one level. What a level does not tell apart is null.

    `months` counts jobs by month (2019-01), and `failed_months` those that failed; jobs without a time are in neither.
    At the level YEAR there are no months: `days` counts jobs by month and day (01-31). Where jobs were taken away
    again, counts may be zero.

    Its id is made from generation, level and what the level tells apart, so that adding to it is an upsert.
    """

    kind: ClassVar[str] = "usage"

    generation_ref: str = Field(alias="generationRef")
    instance_ref: str = Field(alias="instanceRef")
    level: UsageLevel
    tool_id: str | None = None
    tool_version: str | None = None
    state: str | None = None
    year: str | None = None
    jobs: int = 0
    failed: int = 0
    months: dict[str, int] = Field(default_factory=dict)
    failed_months: dict[str, int] = Field(default_factory=dict)
    days: dict[str, int] = Field(default_factory=dict)

    @classmethod
    def id_of(cls, generation_id: str, level: UsageLevel, *key: str | None) -> str:
        """The id for what has this key at a level."""
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]
        return f"{cls.kind}_{generation_id.partition('_')[2]}_{level.lower()}_{digest}"

    class Settings:
        name = "usage"
        # Counts are left out of the index: they change with each report, and so would the index.
        indexes = [IndexModel([("generationRef", 1), ("level", 1), ("tool_id", 1)])]
