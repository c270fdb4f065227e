"""An idempotency key that has been used."""

from typing import Any, ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp, now

TTL_SECONDS = 7 * 24 * 3600


class IdempotencyKey(Document):
    """An idempotency key, reserved before its mutation begins and holding the mutation's outcome afterwards.

    The id is made from viewer, mutation and key, so that inserting the document reserves the key. `holder` is the call
    that runs; `outcome` names the documents that it wrote, and is null while the first call runs.
    """

    kind: ClassVar[str] = "reservation"

    fingerprint: str
    holder: str
    outcome: dict[str, Any] | None = None
    lease_expires_at: Timestamp = Field(alias="leaseExpiresAt")
    created_at: Timestamp = Field(default_factory=now)

    class Settings:
        name = "idempotency_keys"
        indexes = [IndexModel([("created_at", 1)], expireAfterSeconds=TTL_SECONDS)]
