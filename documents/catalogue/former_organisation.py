"""An organisation that was merged into another."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp, now


class FormerOrganisation(Document):
    """The id and URL of a merged organisation; both lead to `organisation_ref`."""

    kind: ClassVar[str] = "former"

    url: str
    organisation_ref: str = Field(alias="organisationRef")
    merged_at: Timestamp = Field(default_factory=now, alias="mergedAt")

    class Settings:
        name = "former_organisations"
        indexes = [
            IndexModel([("url", 1)], unique=True),
            IndexModel([("organisationRef", 1), ("_id", 1)]),
        ]
