"""The names, subjects and sizes of quotas."""

from enum import StrEnum


class QuotaName(StrEnum):
    """Counts that a quota limits."""

    REQUESTS = "REQUESTS"
    OBJECTS = "OBJECTS"
    UPLOADS = "UPLOADS"

    @property
    def stored_name(self) -> str:
        """The field of QuotaUsage that counts it."""
        return self.value.lower()


class QuotaSubject(StrEnum):
    """Kinds of callers whose use a quota limits."""

    USER = "USER"
    TOKEN = "TOKEN"


Sizes = dict[tuple[QuotaSubject, QuotaName], int]
"""The sizes of all quotas; those that are 0 or missing limit nothing."""
