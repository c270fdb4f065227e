"""Data that lies elsewhere, in one state: a file or table at a URL, with its version and SHA-256 where known."""

import hashlib
from typing import ClassVar

from pydantic import Field
from pymongo import IndexModel

from documents.base import Document, EmbeddedModel, Timestamp

MAX_REPORTS = 1_000
"""Owners of private activities that are remembered with one state."""
ID_DIGITS = 24


class ExternalDataReport(EmbeddedModel):
    """A report of the first private activity of an owner that named a state, and its time."""

    owner_ref: str = Field(alias="ownerRef")
    size_bytes: int | None = None
    media_type: str | None = None
    at: Timestamp


class ExternalData(Document):
    """One state of data at a URL, which activities used. Another version or another hash is another state.

    It is `public` once a public activity has named it. Its size, media type and time come from reports of public
    activities alone, and are None before there is one. Private activities leave a report of their owner's in `reports`,
    and the owner in `owner_refs`; of more than MAX_REPORTS owners the first are kept.
    """

    kind: ClassVar[str] = "external"

    url: str
    version: str | None = None
    sha256: str | None = None
    public: bool = False
    owner_refs: list[str] = Field([], alias="ownerRefs")
    size_bytes: int | None = None
    media_type: str | None = None
    created_at: Timestamp | None = None
    reports: list[ExternalDataReport] = []

    class Settings:
        name = "external_data"
        indexes = [
            IndexModel([("url", 1), ("created_at", 1), ("_id", 1)]),
            IndexModel([("sha256", 1)], partialFilterExpression={"sha256": {"$type": "string"}}),
        ]


def external_data_id(url: str, version: str | None, sha256: str | None) -> str:
    """The id of a state, so that all activities that name it meet in one document. The URL is in its normal form."""
    state = "\0".join((url, version or "", sha256 or ""))
    return f"{ExternalData.kind}_{hashlib.sha256(state.encode()).hexdigest()[:ID_DIGITS]}"
