"""A line that an activity wrote."""

from enum import StrEnum
from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp, now


class LogLevel(StrEnum):
    """The severity of a line, lowest first."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class LogEntry(Document):
    """A line that an activity wrote, in a collection of its own, so that a million lines do not slow down other reads.

    `late` is set on a line that was stored after a line with a higher sequence: its number among the activity's late
    lines, in the order in which they were stored, by which followers of the log find them.
    """

    kind: ClassVar[str] = "log"

    activity_ref: str = Field(alias="activityRef")
    attempt: int = 1
    sequence: int
    late: int | None = None
    timestamp: Timestamp = Field(default_factory=now)
    level: LogLevel = Field(LogLevel.INFO, alias="type")
    message: str = Field(alias="logstring")

    class Settings:
        name = "logs"
        indexes = [
            IndexModel([("activityRef", 1), ("sequence", 1)], unique=True),
            IndexModel([("activityRef", 1), ("late", 1)], partialFilterExpression={"late": {"$gt": 0}}),
        ]
