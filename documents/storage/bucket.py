"""Storage of bytes: objects that are written once, under names that the server chooses.

A bucket is a folder on this machine or one of Google Cloud Storage. It is opened once, when the process starts, as the
database is: `open_bucket(...)`, then `current_bucket()` wherever bytes are read or written.
"""

import errno
import re
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

CHUNK_BYTES = 1024 * 1024
"""Bytes that are read or written at a time."""
FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space or no more files, a used-up quota, and a file that is larger than allowed."""
LIST_PAGE_SIZE = 1_000
"""Objects that are listed at a time."""
OCTET_STREAM = "application/octet-stream"
# Keys are made by the server and never by a client, so keys of any other form name no object.
KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._=-]*(/[A-Za-z0-9_-][A-Za-z0-9._=-]*)*", re.ASCII)
MAX_KEY_LENGTH = 500
MAX_FILE_NAME_LENGTH = 200

public_origin: ContextVar[Callable[[], str]] = ContextVar("public_origin", default=str)
"""Returns the origin at which the client of the current request reaches this server, such as `http://127.0.0.1:8000`:
signed URLs of a bucket that the server itself serves begin with it."""


class ObjectNotFound(Exception):
    """No object exists under this name, or it has another generation."""


class ObjectExists(Exception):
    """An object exists under this name already, and objects are never overwritten."""


class BucketError(Exception):
    """The bucket cannot be used at all; the message says what to fix."""


class BucketUnavailable(Exception):
    """The bucket does not answer at the moment; a retry may succeed."""


class BucketFull(BucketUnavailable):
    """The bucket is full, and kept none of the bytes that were to be written; the message gives the reason."""


@dataclass(frozen=True)
class ObjectInfo:
    """A stored object. Its generation changes whenever its bytes do."""

    size: int
    generation: int
    encoding: str | None = None
    """The encoding of the bytes, where the bucket would decode them for readers: never for our own objects."""


@dataclass(frozen=True)
class ListedObject:
    """A stored object as a list of the bucket shows it. `created_at` is when its bytes were written."""

    key: str
    size: int
    generation: int
    created_at: datetime


@dataclass(frozen=True)
class SignedRequest:
    """A signed request, which any holder may make until it expires."""

    url: str = field(repr=False)
    method: str
    headers: dict[str, str]
    expires_at: datetime


@dataclass(frozen=True)
class Download:
    """One generation of an object, and how a browser is to save or show it."""

    key: str
    generation: int
    file_name: str
    media_type: str = OCTET_STREAM


class Bucket(ABC):
    """Objects by name. `name` and a key together say where bytes lie; every key begins with `prefix`."""

    name: str
    prefix: str = ""

    @abstractmethod
    async def stat(self, key: str) -> ObjectInfo | None:
        """Size and generation of the object under a name, None when there is no such object."""

    @abstractmethod
    def list_objects(self, folder: str) -> AsyncIterator[list[ListedObject]]:
        """The objects whose keys begin with `folder`, which ends in a slash: in pages, in no particular order."""

    @abstractmethod
    def read(self, key: str, generation: int) -> AsyncIterator[bytes]:
        """The bytes of one generation, in chunks. Raises ObjectNotFound."""

    @abstractmethod
    async def write(self, key: str, chunks: AsyncIterable[bytes], media_type: str = OCTET_STREAM) -> ObjectInfo:
        """Store `chunks` as an object under a new name, all of them or nothing.

        Raises ObjectExists, BucketFull, BucketUnavailable, and errors of `chunks`.
        """

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Delete the object under this name, if there is one."""

    @abstractmethod
    async def sign_upload(self, key: str, *, size: int, media_type: str, seconds: int) -> SignedRequest:
        """A request that stores an object of exactly this size, once."""

    @abstractmethod
    async def sign_downloads(self, downloads: Sequence[Download], *, seconds: int) -> list[SignedRequest]:
        """Requests that read the objects, one for each."""

    async def check(self) -> None:
        """Raise BucketError unless objects can be stored here."""
        return

    async def remove_partial_writes(self) -> None:
        """Remove partial files of writers that were killed."""
        return

    async def close(self) -> None:
        """Close connections and threads."""
        return


class _Current:
    bucket: Bucket | None = None


def open_bucket(bucket: Bucket | None) -> None:
    """Store bytes in `bucket` from now on; None means that this server has no bucket."""
    _Current.bucket = bucket


def current_bucket() -> Bucket | None:
    """The bucket that is open, None when this server has none."""
    return _Current.bucket


def check_key(key: str) -> str:
    """Return the key, if it is a valid object name. Raises ValueError."""
    if not KEY.fullmatch(key) or len(key) > MAX_KEY_LENGTH:
        raise ValueError(f"{key[:100]!r} is not a name of an object.")
    return key


def download_name(file_name: str) -> str:
    """The file name under which a download is saved: the part after the last slash, without misleading characters."""
    last = re.split(r"[/\\]", file_name)[-1]
    printable = "".join(sign if sign.isprintable() and sign not in '";' else "_" for sign in last).strip(". ")
    return printable[:MAX_FILE_NAME_LENGTH] or "download"


def content_disposition(file_name: str) -> str:
    """The Content-Disposition header of a download, which names its file twice, as RFC 6266 advises.

    Browsers take the name in UTF-8; clients that do not support it, such as curl, take the one in ASCII.
    """
    name = download_name(file_name)
    return f"attachment; filename=\"{_ascii(name)}\"; filename*=UTF-8''{quote(name, safe='')}"


def _ascii(name: str) -> str:
    """The name without accents, and with an underscore for each other character that is not ASCII."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", name) if not unicodedata.combining(sign))
    # Some clients take a percent sign for the beginning of an encoded character.
    return re.sub(r'[^ -~]|[%"\\/;]', "_", plain).strip(". ") or "download"
