"""Storage of bytes: objects that are written once, under names that the server chooses.

A bucket is a folder on this machine or one of Google Cloud Storage. It is opened once, when the process starts, as the
database is: `open_bucket(...)`, then `the_bucket()` wherever bytes are read or written.
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

CHUNK = 1024 * 1024
"""Bytes that are read or written at a time."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""No space or no more files, a used-up quota, and a file that is larger than allowed."""
OCTETS = "application/octet-stream"
# Names are made by the server and never by a client; any other form names no object.
KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._=-]*(/[A-Za-z0-9_-][A-Za-z0-9._=-]*)*", re.ASCII)

reached_at: ContextVar[Callable[[], str]] = ContextVar("reached_at", default=str)
"""Returns the address at which the client of the present request reaches this server, such as `http://127.0.0.1:8000`:
signed URLs of a bucket that the server itself serves begin with it."""


class NoObject(Exception):
    """No object exists under this name, or not in this generation."""


class ObjectExists(Exception):
    """An object exists under this name already, and objects are never overwritten."""


class BucketError(Exception):
    """The bucket cannot be used at all; the message says what to fix."""


class BucketUnavailable(Exception):
    """The bucket does not answer at the moment; a retry may succeed."""


class BucketFull(BucketUnavailable):
    """The bucket is full, and kept none of the bytes that were to be written; the message gives the reason."""


@dataclass(frozen=True)
class Stored:
    """A stored object. Its generation changes whenever its bytes do."""

    size: int
    generation: int
    encoding: str | None = None
    """The encoding of the bytes, where the bucket would decode them for readers: never for our own objects."""


@dataclass(frozen=True)
class Signed:
    """A request that anyone who has it may make, until it expires."""

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
    media_type: str = OCTETS


class Bucket(ABC):
    """Objects by name. `name` and a key together say where bytes lie; every key begins with `prefix`."""

    name: str
    prefix: str = ""

    @abstractmethod
    async def stat(self, key: str) -> Stored | None:
        """The object under a name, None when there is none."""

    @abstractmethod
    def read(self, key: str, generation: int) -> AsyncIterator[bytes]:
        """The bytes of one generation, in chunks. Raises NoObject."""

    @abstractmethod
    async def write(self, key: str, chunks: AsyncIterable[bytes], media_type: str = OCTETS) -> Stored:
        """Store `chunks` as an object under a new name, all of them or nothing.

        Raises ObjectExists, BucketFull, BucketUnavailable, and errors of `chunks`.
        """

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Delete the object under this name, if there is one."""

    @abstractmethod
    async def sign_upload(self, key: str, *, size: int, media_type: str, seconds: int) -> Signed:
        """A request that stores an object of exactly this size, once."""

    @abstractmethod
    async def sign_downloads(self, wanted: Sequence[Download], *, seconds: int) -> list[Signed]:
        """Signed requests that read the objects, one for each."""

    async def check(self) -> None:
        """Raise BucketError unless objects can be stored here."""
        return

    async def tidy(self) -> None:
        """Remove partial files of writers that were killed."""
        return

    async def close(self) -> None:
        """Close connections and threads."""
        return


class _Opened:
    bucket: Bucket | None = None


def open_bucket(bucket: Bucket | None) -> None:
    """Store bytes in `bucket` from now on; None means that this server has no bucket."""
    _Opened.bucket = bucket


def the_bucket() -> Bucket | None:
    """The bucket that is open, None when this server has none."""
    return _Opened.bucket


def checked_key(key: str) -> str:
    """The key, if it is a valid object name. Raises ValueError."""
    if not KEY.fullmatch(key) or len(key) > 500:
        raise ValueError(f"{key[:100]!r} is no name of an object.")
    return key


def as_attachment(file_name: str) -> str:
    """The file name under which a download is saved: the part after the last slash, without misleading characters."""
    last = re.split(r"[/\\]", file_name)[-1]
    shown = "".join(sign if sign.isprintable() and sign not in '";' else "_" for sign in last).strip(". ")
    return shown[:200] or "download"


def content_disposition(file_name: str) -> str:
    """The Content-Disposition of a download, which names its file twice, as RFC 6266 advises.

    Browsers take the name in UTF-8; clients that do not support it, such as curl, take the one in ASCII.
    """
    name = as_attachment(file_name)
    return f"attachment; filename=\"{_ascii(name)}\"; filename*=UTF-8''{quote(name, safe='')}"


def _ascii(name: str) -> str:
    """The name without accents, and with an underscore for each other character that is not ASCII."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", name) if not unicodedata.combining(sign))
    # Some clients take a percent sign for the beginning of an encoded character.
    return re.sub(r'[^ -~]|[%"\\/;]', "_", plain).strip(". ") or "download"
