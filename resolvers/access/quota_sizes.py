"""What quotas limit, and their sizes."""

from enum import StrEnum


class QuotaName(StrEnum):
    """What a quota limits."""

    REQUESTS = "REQUESTS"
    OBJECTS = "OBJECTS"
    UPLOADS = "UPLOADS"

    @property
    def stored_name(self) -> str:
        """The field of QuotaUsage that counts it."""
        return self.value.lower()


class QuotaSubject(StrEnum):
    """Whose use a quota limits."""

    USER = "USER"
    TOKEN = "TOKEN"


Sizes = dict[tuple[QuotaSubject, QuotaName], int]
"""The sizes of all quotas; those that are 0 or missing limit nothing."""
