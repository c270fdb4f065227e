"""An idempotency key that has been used."""

from typing import Any, ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp, now

KEPT_SECONDS = 7 * 24 * 3600


class Reservation(Document):
    """An idempotency key, taken before the work begins and holding its answer afterwards.

    The id is made from viewer, mutation and key, so that the unique insert is the reservation.
    `holder` is the call at work; `outcome` names what was written, and is null while the first call runs.
    """

    kind: ClassVar[str] = "reservation"

    fingerprint: str
    holder: str
    outcome: dict[str, Any] | None = None
    lease_expires_at: Timestamp = Field(alias="leaseExpiresAt")
    created_at: Timestamp = Field(default_factory=now)

    class Settings:
        name = "idempotency_keys"
        indexes = [IndexModel([("created_at", 1)], expireAfterSeconds=KEPT_SECONDS)]
