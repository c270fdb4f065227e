"""Daily usage of a tool: how often it ran, and for how long."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp


class DailyUsage(Document):
    """Jobs of one tool, version and state, counted from one chunk of a report. It is never changed: jobs are subtracted
    by another document with negative counts.

    The columns (resolvers/galaxy/statistics/packed_columns.py) say for each of `days` how many `jobs` there were, and
    in how many bins their runtimes are (`spans`); `bins` and `counts` are all bins one after another, with the number
    of jobs in each (resolvers/galaxy/report/usage/cells.py). `first` and `last` are the outermost of the days, both
    null when jobs without a time are among them. `shortest` and `longest` are the extremes of the runtimes in seconds,
    null where there are none, or where jobs are subtracted.
    """

    kind: ClassVar[str] = "daily"

    generation_ref: str = Field(alias="generationRef")
    instance_ref: str = Field(alias="instanceRef")
    tool_id: str
    tool_version: str | None = None
    state: str
    first: Timestamp | None = None
    last: Timestamp | None = None
    shortest: float | None = None
    longest: float | None = None
    days: bytes
    jobs: bytes
    spans: bytes
    bins: bytes
    counts: bytes

    class Settings:
        name = "dailyUsage"
        indexes = [
            IndexModel([("generationRef", 1), ("tool_id", 1), ("last", 1), ("first", 1)]),
            IndexModel([("generationRef", 1), ("last", 1), ("first", 1)]),
        ]
