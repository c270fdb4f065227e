"""Rows of another system as of the last import, to distinguish changes there from changes here."""

from typing import Any, ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, Timestamp, now


class ImportedRow(Document):
    """A row of another system as it was read at the last import.

    It was read from `source_collection` of `source_database` at `source_hosts`. `target` is the id of the document that
    was made from it, and `taken` has the synchronised fields, by stored name and as they were read: the document itself
    may have another name, if that one was in use already.
    """

    kind: ClassVar[str] = "imported"

    target: str
    source_hosts: list[str] = Field(alias="sourceHosts")
    source_database: str = Field(alias="sourceDatabase")
    source_collection: str = Field(alias="sourceCollection")
    taken: dict[str, Any]
    taken_at: Timestamp = Field(default_factory=now, alias="takenAt")

    class Settings:
        name = "imported_rows"
        indexes = [IndexModel([("sourceDatabase", 1), ("sourceCollection", 1), ("_id", 1)])]


def imported_row_id(target: str) -> str:
    """The id of the ImportedRow for the document `target`."""
    return f"{ImportedRow.kind}_{target}"
