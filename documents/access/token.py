"""An API token: a secret that stands for a role, and perhaps for a user."""

from typing import ClassVar, Literal

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp, now


class Token(Document):
    """An API token after its secret was shown once: the secret's hash, the identity it stands for, and its expiry.

    `hash` is the SHA-256 of the whole secret in hexadecimal. A secret holds 256 random bits, so a slow hash would add
    nothing. A WORKER's token with `organisation_ref` or `resource_ref` may work for that one alone. `ancestor_refs` are
    the token that made this one and those before it, the first one first; `made` counts the tokens that this one made.
    `last_used_at` is true to the minute.
    """

    kind: ClassVar[str] = "token"

    hash: str
    role: Literal["USER", "WORKER", "ADMIN"]
    user_ref: str | None = Field(None, alias="userRef")
    organisation_ref: str | None = Field(None, alias="organisationRef")
    resource_ref: str | None = Field(None, alias="resourceRef")
    ancestor_refs: list[str] = Field(default_factory=list, alias="ancestorRefs")
    made: int = 0
    name: str
    created_at: Timestamp = Field(default_factory=now)
    expires_at: Timestamp | None = None
    last_used_at: Timestamp | None = None
    revoked_at: Timestamp | None = None

    class Settings:
        name = "tokens"
        indexes = [
            IndexModel([("hash", 1)], unique=True),
            IndexModel([("created_at", -1), ("_id", -1)]),
            IndexModel([("name", 1), ("_id", 1)]),
            IndexModel([("userRef", 1), ("_id", 1)]),
            IndexModel([("organisationRef", 1)]),
            IndexModel([("ancestorRefs", 1)]),
        ]
