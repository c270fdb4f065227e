"""The base of all documents: ids that name their kind, UTC times to the millisecond, and JSON kept as text."""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

import beanie
from bson import ObjectId
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

JsonText = str
"""A JSON value kept as the exact text it arrived in: key order, number forms and dotted keys survive."""


def utc_milliseconds(at: datetime) -> datetime:
    """The instant in UTC, cut to the milliseconds that BSON keeps. A naive time is taken as UTC."""
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


Timestamp = Annotated[datetime, AfterValidator(utc_milliseconds)]


def now() -> datetime:
    """The current time, in the precision that the database keeps."""
    return utc_milliseconds(datetime.now(UTC))


def new_id(kind: str) -> str:
    """A new unique id such as `step_6b00f9134c1f0a5b2e8d7c90`."""
    return f"{kind}_{ObjectId()}"


def kind_of(id: str) -> str:
    """The part of an id before its first underscore: `step` for `step_6b00…`, empty when there is none."""
    kind, underscore, _ = id.partition("_")
    return kind if underscore else ""


class EmbeddedModel(BaseModel):
    """A part of a document, without an identity of its own."""

    model_config = ConfigDict(populate_by_name=True, extra="forbid", defer_build=True)


class Document(beanie.Document):
    """A document whose id is a string that begins with its kind."""

    kind: ClassVar[str]
    model_config = ConfigDict(populate_by_name=True, defer_build=True)

    id: str = Field(default="", alias="_id")  # type: ignore[assignment]

    @classmethod
    def collection_name(cls) -> str:
        """The collection's name, for use before a database is open."""
        return str(cls.Settings.name)

    def model_post_init(self, context: Any, /) -> None:
        if not self.id:
            self.id = new_id(self.kind)
