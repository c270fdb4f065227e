"""A file that was reported from a watched directory, as it was last seen."""

import hashlib
from typing import ClassVar

from documents.base import Document, Timestamp


class SeenFile(Document):
    """The newest reported generation of a file, stored once for all watchers of its directory.

    Rows stay when a file is deleted: a file that comes back has another generation, and a late report of the old one
    must find that it is known.
    """

    kind: ClassVar[str] = "file"

    url: str
    generation: str
    updated_at: Timestamp
    """The reported time at which the file changed to this generation, or the time of a report that gave none."""
    sha256: str | None = None
    file_size: int | None = None
    seen_at: Timestamp
    """The time at which this generation was recorded."""

    class Settings:
        name = "seen_files"


def seen_file_id(url: str) -> str:
    """The id of the file at a URL, so that there is one row for each file."""
    return f"{SeenFile.kind}_{hashlib.sha256(url.encode()).hexdigest()}"
