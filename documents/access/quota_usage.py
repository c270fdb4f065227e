"""The use of quotas by a user or a token on a day."""

from typing import ClassVar

from pymongo import IndexModel

from documents.base import Document, Timestamp

TTL_SECONDS = 7 * 24 * 3600


class QuotaUsage(Document):
    """The use of quotas by a user or a token, the subject, on a day in UTC, from all processes together.

    The id is made from subject and day. `day` is the time at which the day begins.
    """

    kind: ClassVar[str] = "quota"

    subject: str
    day: Timestamp
    requests: int = 0
    objects: int = 0
    uploads: int = 0

    class Settings:
        name = "quota_usage"
        indexes = [IndexModel([("day", 1)], expireAfterSeconds=TTL_SECONDS)]
