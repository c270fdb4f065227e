"""How often a tool was used: jobs of one generation, counted beforehand."""

import hashlib
import json
from enum import StrEnum
from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp


class UsageLevel(StrEnum):
    """How finely a document counts. Each job is counted once at each level."""

    TOOL = "TOOL"
    """By tool."""
    MONTH = "MONTH"
    """By tool and month."""
    DAYS = "DAYS"
    """By tool, version, state and month, and within it by day."""


class Usage(Document):
    """Jobs of one generation that are alike, at one level. What a level does not tell apart is left out of it.

    `month` is the first of a month, and null for jobs without a time. `runtimes` counts the jobs of which the runtime
    is known, by bin (resolvers/ingest/report/cells.py); `samples` is how many these are, `shortest` and `longest` are
    the extremes that were ever counted. `days` counts jobs by the day of the month (01 to 31), and `day_runtimes` by
    day and bin. Where jobs were taken away again, counts may be zero.

    Its id is made from generation, level and what the level tells apart, so that adding to it is an upsert.
    """

    kind: ClassVar[str] = "usage"

    generation_ref: str = Field(alias="generationRef")
    level: UsageLevel
    tool_id: str
    tool_version: str | None = None
    state: str | None = None
    month: Timestamp | None = None
    jobs: int = 0
    failed: int = 0
    samples: int = 0
    shortest: float | None = None
    longest: float | None = None
    runtimes: dict[str, int] = Field(default_factory=dict)
    days: dict[str, int] = Field(default_factory=dict)
    day_runtimes: dict[str, dict[str, int]] = Field(default_factory=dict)

    @classmethod
    def id_of(cls, generation_id: str, level: UsageLevel, *key: str | None) -> str:
        """The id for what has this key at a level."""
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:24]
        return f"{cls.kind}_{generation_id.partition('_')[2]}_{level.lower()}_{digest}"

    class Settings:
        name = "usage"
        indexes = [
            IndexModel(
                [
                    *[("generationRef", 1), ("level", 1), ("tool_id", 1), ("month", 1)],
                    *[("tool_version", 1), ("state", 1), ("jobs", 1), ("failed", 1)],
                ],
                # Names of tools are long; the name of an index may not be.
                name="counts",
            )
        ]
