"""A row of an archive that could not be ingested as it stands."""

from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document
from documents.galaxy.ingestion_part import IngestionPart


class Rejection(Document):
    """A rejected row, with enough to find the bad line in the raw file: see resolvers/galaxy/report/rejection.py.

    Its id is made from the part and its number there, so that storing it twice is idempotent.
    """

    kind: ClassVar[str] = "rejection"

    ingestion_ref: str = Field(alias="ingestionRef")
    archive_ref: str = Field(alias="archiveRef")
    member: str
    line: int
    code: str
    message: str
    excerpt: str | None = None

    @classmethod
    def id_of(cls, part_id: str, number: int) -> str:
        """The id of the rejection with this number in a part; ids sort by number."""
        return f"{cls.kind}_{part_id.removeprefix(f'{IngestionPart.kind}_')}_{number:08d}"

    class Settings:
        name = "rejections"
        indexes = [IndexModel([("ingestionRef", 1), ("_id", 1)])]
