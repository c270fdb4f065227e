"""A file that was reported from a watched directory, as it was last seen."""

import hashlib
from typing import ClassVar

from documents.base import Document, Timestamp


class SeenFile(Document):
    """The newest generation of a file that was reported, whoever watches its directory.

    Nothing is forgotten when a file is deleted: one that comes back has another generation, and a late report of the
    old one must find that it is known.
    """

    kind: ClassVar[str] = "file"

    url: str
    generation: str
    updated_at: Timestamp
    """When the file became what it is: by its report, or when it was reported without a time."""
    file_size: int | None = None
    seen_at: Timestamp
    """When this generation was recorded here."""

    class Settings:
        name = "seen_files"


def seen_file_id(url: str) -> str:
    """The id of the file at a URL, so that there is one row for each file."""
    return f"{SeenFile.kind}_{hashlib.sha256(url.encode()).hexdigest()}"
