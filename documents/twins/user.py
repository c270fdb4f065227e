"""A person or an account that owns twins."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp, now


class User(Document):
    """A user with a display name that is unique on this server."""

    kind: ClassVar[str] = "user"

    display_name: str = Field(alias="displayName")
    email: str | None = None
    github: str | None = None
    oidc_subject: str | None = Field(None, alias="oidcSubject")
    created_at: Timestamp = Field(default_factory=now)
    updated_at: Timestamp = Field(default_factory=now)

    class Settings:
        name = "users"
        indexes = [
            IndexModel([("displayName", 1)], unique=True),
            IndexModel([("oidcSubject", 1)], unique=True, partialFilterExpression={"oidcSubject": {"$type": "string"}}),
            IndexModel([("github", 1), ("_id", 1)]),
            IndexModel([("created_at", 1), ("_id", 1)]),
        ]
