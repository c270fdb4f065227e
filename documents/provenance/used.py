"""Artifacts that activities use, the `used` of W3C PROV."""

from collections.abc import Iterable
from typing import Any

from pydantic import Field
from pymongo import IndexModel

from documents.base import EmbeddedModel

MAX_USED = 10_000
"""Artifacts stored with an activity."""


class Used(EmbeddedModel):
    """An artifact that an activity reads, by its id, with the SHA-256 of its bytes where that is known, or the content
    hash that a generation had when it was named: it grows with each report.

    `assumed` says that nobody told its exact state: it is data at a URL, without a version and a hash, or the version
    of a dataset that was current. `declared` says that the activity was told to read it when it was created, so that
    each attempt begins with it. `step_key` is set on files that a worker is to fetch: the key of the step in whose
    place the file comes.
    """

    ref: str
    sha256: str | None = None
    content_hash: str | None = Field(None, alias="contentHash")
    assumed: bool = False
    declared: bool = False
    step_key: str | None = Field(None, alias="stepKey")


def stored_used(used: Iterable[Used]) -> list[dict[str, Any]]:
    """The artifacts in the form stored with an activity."""
    return [one.model_dump(by_alias=True) for one in used]


def used_index() -> IndexModel:
    """The index of the activities that use an artifact, oldest first. Activities that use none have no entry."""
    return IndexModel([("used.ref", 1), ("_id", 1)], partialFilterExpression={"used.ref": {"$exists": True}})
