"""How often a tool was used day by day, and for how long."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp


class DailyUsage(Document):
    """Jobs of one tool, version and state, as one chunk of a report told of them. It is never changed: what is taken
    away again is another one, with negative counts.

    The columns (resolvers/packing.py) say for each of `days` how many `jobs` there were, and in how many bins their
    runtimes are (`spans`); `bins` and `counts` are all bins one after another, with the number of jobs in each
    (resolvers/ingest/report/cells.py). `first` and `last` are the outermost of the days, both null when jobs without
    a time are among them. `shortest` and `longest` are the extremes of the runtimes in seconds, null where there are
    none, or where they are taken away.
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
