"""Where bytes are kept: objects that are written once, under names of the server's own.

A bucket is a folder on this machine or one of Google Cloud Storage. It is opened once, when the process starts, as the
database is: `open_bucket(...)`, then `the_bucket()` wherever bytes are meant.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime

CHUNK = 1024 * 1024
"""Bytes that are read or written at a time."""
OCTETS = "application/octet-stream"
# Names are made here and never by a client; what does not look like one is no object.
KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._=-]*(/[A-Za-z0-9_-][A-Za-z0-9._=-]*)*", re.ASCII)

reached_at: ContextVar[Callable[[], str]] = ContextVar("reached_at", default=str)
"""Tells where the client of the present request reaches this server, such as `http://127.0.0.1:8000`: signed URLs of a
bucket that the server itself serves begin with it."""


class NoObject(Exception):
    """Nothing is kept under this name, or not in this generation."""


class ObjectExists(Exception):
    """Something is kept under this name already, and objects are never overwritten."""


class BucketError(Exception):
    """The bucket cannot be used at all; the message says what to mend."""


@dataclass(frozen=True)
class Stored:
    """An object as it is kept. Its generation changes whenever its bytes do."""

    size: int
    generation: int
    encoding: str | None = None
    """What the bytes are packed with, where the bucket would unpack them for readers: never for our own objects."""


@dataclass(frozen=True)
class Signed:
    """A request that whoever has it may make, until it expires."""

    url: str = field(repr=False)
    method: str
    headers: dict[str, str]
    expires_at: datetime


@dataclass(frozen=True)
class Download:
    """One generation of an object, and how a browser is to take it."""

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
        """What is kept under a name, None when there is nothing."""

    @abstractmethod
    def read(self, key: str, generation: int) -> AsyncIterator[bytes]:
        """The bytes of one generation, in chunks. Raises NoObject."""

    @abstractmethod
    async def write(self, key: str, chunks: AsyncIterable[bytes], media_type: str = OCTETS) -> Stored:
        """Keep what `chunks` give under a new name, all of it or nothing. Raises ObjectExists, and what they raise."""

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Keep nothing under this name, whether or not there was something."""

    @abstractmethod
    async def sign_upload(self, key: str, *, size: int, media_type: str, seconds: int) -> Signed:
        """A request that stores an object of exactly this size, once."""

    @abstractmethod
    async def sign_downloads(self, wanted: Sequence[Download], *, seconds: int) -> list[Signed]:
        """For each object a request that reads it."""

    async def check(self) -> None:
        """Raise BucketError unless objects can be kept here."""
        return

    async def tidy(self) -> None:
        """Remove what writers left behind that were killed."""
        return

    async def close(self) -> None:
        """Let go of connections and threads."""
        return


class _Opened:
    bucket: Bucket | None = None


def open_bucket(bucket: Bucket | None) -> None:
    """Keep bytes in `bucket` from now on; nowhere when it is None."""
    _Opened.bucket = bucket


def the_bucket() -> Bucket | None:
    """Where bytes are kept, None when this server keeps none."""
    return _Opened.bucket


def checked_key(key: str) -> str:
    """A name that an object may have. Raises ValueError."""
    if not KEY.fullmatch(key) or len(key) > 500:
        raise ValueError(f"{key[:100]!r} is no name of an object.")
    return key


def as_attachment(file_name: str) -> str:
    """A file name for a Content-Disposition: what stands behind the last slash, without signs that mislead."""
    last = re.split(r"[/\\]", file_name)[-1]
    shown = "".join(sign if sign.isprintable() and sign not in '";' else "_" for sign in last).strip(". ")
    return shown[:200] or "download"
