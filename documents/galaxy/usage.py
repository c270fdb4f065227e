"""Tool usage: pre-aggregated counts of one generation's jobs."""

import hashlib
import json
from enum import StrEnum
from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document


class UsageLevel(StrEnum):
    """The dimensions by which jobs are grouped. Each job is counted once at each level."""

    TOOL = "TOOL"
    """By tool."""
    STATE = "STATE"
    """By tool, version and state."""
    YEAR = "YEAR"
    """By state and year, over all tools."""


class Usage(Document):
    """The count of a group of jobs of one generation, at one level. Fields by which the level does not group are null.

    `months` counts jobs by month (2019-01), and `failed_months` those that failed; jobs without a time are in neither.
    At the level YEAR there are no months: `days` counts jobs by month and day (01-31). Where jobs were subtracted
    again, counts may be zero.

    Its id is made from generation, level and the fields by which the level groups, so that adding to it is an upsert.
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
    months: dict[str, int] = {}
    failed_months: dict[str, int] = {}
    days: dict[str, int] = {}

    @classmethod
    def id_of(cls, generation_id: str, level: UsageLevel, *key: str | None) -> str:
        """The id of the usage document with this key at a level."""
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]
        return f"{cls.kind}_{generation_id.partition('_')[2]}_{level.lower()}_{digest}"

    class Settings:
        name = "usage"
        # Counts are left out of the index: they change with each report, and each change would rewrite the index entry.
        indexes = [IndexModel([("generationRef", 1), ("level", 1), ("tool_id", 1)])]
