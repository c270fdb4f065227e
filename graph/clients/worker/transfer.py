"""Uploads and downloads with signed URLs."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Coroutine, Iterable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urljoin

import httpx2

from graph.clients.worker.client import GraphQLClient, Json, is_retryable_status, retry_after
from graph.clients.worker.retry import TransientError

CHUNK_BYTES, HASH_CHUNK_BYTES = 1_048_576, 8_388_608
MAX_TRANSFERS = 4
"""Files that are transferred at the same time."""
STORED_ALREADY, INSUFFICIENT_STORAGE = 412, 507


class TransferError(Exception):
    """Bytes could not be fetched or stored; the error says whether another attempt may succeed."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message)
        self.retryable = retryable


class SignedUrlRejected(TransferError):
    """A signed URL was refused, perhaps because it has expired: a new one may be accepted."""


async def gather_or_cancel(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await all concurrently. The first error is raised, and cancels the rest."""
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in work:
                group.create_task(coroutine)
    except BaseExceptionGroup as errors:
        raise _first(errors) from None


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def sha256_of(file: Path) -> str:
    """The SHA-256 of a file in hexadecimal."""
    with await asyncio.to_thread(file.open, "rb") as opened:
        sha256, _ = await sha256_of_open(opened)
    return sha256


async def sha256_of_open(file: BinaryIO) -> tuple[str, int]:
    """The SHA-256 of an open file in hexadecimal, and the number of its bytes. Raises OSError."""
    digest, count, size = hashlib.sha256(), 0, os.fstat(file.fileno()).st_size
    # In pieces, since a thread cannot be cancelled. A file that grows as it is read has no end.
    while count <= size and (chunk := await asyncio.to_thread(file.read, HASH_CHUNK_BYTES)):
        await asyncio.to_thread(digest.update, chunk)
        count += len(chunk)
    return digest.hexdigest(), count


async def fetch(client: GraphQLClient, signed: Json, file: Path, sha256: str | None) -> str:
    """Download a signed URL into a new file; returns its SHA-256.

    Raises TransientError, SignedUrlRejected, TransferError and OSError.
    """
    url = urljoin(client.address, signed["url"])
    try:
        async with client.files.stream("GET", url, headers=signed["headers"], follow_redirects=False) as response:
            _check(response)
            digest = await _receive(response, file)
    except httpx2.TransportError as error:
        raise TransientError(f"{_host(url)} does not answer: {type(error).__name__}.") from None
    if sha256 and digest != sha256:
        raise TransferError(f"{file.name} arrived with the SHA-256 {digest}, not {sha256}.")
    return digest


async def _receive(response: httpx2.Response, file: Path) -> str:
    """The SHA-256 of the bytes written to the new file, which is removed if the download fails."""
    digest = hashlib.sha256()
    # Never an existing file: on a case-insensitive file system it may be that of another output.
    with file.open("xb") as opened:
        try:
            async for chunk in response.aiter_raw(CHUNK_BYTES):
                await asyncio.to_thread(opened.write, chunk)
                digest.update(chunk)
        except BaseException:
            await asyncio.to_thread(file.unlink, missing_ok=True)
            raise
    return digest.hexdigest()


async def store(client: GraphQLClient, signed: Json, file: Path, size: int) -> None:
    """Upload a file to a signed URL. Raises TransientError, SignedUrlRejected and TransferError."""
    url = urljoin(client.address, signed["url"])
    headers = {**signed["headers"], "Content-Length": str(size)}
    try:
        response = await client.files.request(signed["method"], url, headers=headers, content=_chunks(file))
    except httpx2.LocalProtocolError:
        raise TransferError(f"{file.name} was changed while it was sent.") from None
    except httpx2.TransportError as error:
        raise TransientError(f"{_host(url)} does not answer: {type(error).__name__}.") from None
    # Existing bytes are from an earlier attempt; registration checks that they are the right ones.
    if response.status_code != STORED_ALREADY:
        _check(response)


def _check(response: httpx2.Response) -> None:
    status = response.status_code
    host = _host(str(response.request.url))
    if is_retryable_status(status):
        full = " The bucket is full." if status == INSUFFICIENT_STORAGE else ""
        raise TransientError(f"{host} answers {status} {response.reason_phrase}.{full}", after=retry_after(response))
    if status in (401, 403):
        raise SignedUrlRejected(f"{host} refused a signed URL: {status}.")
    if not response.is_success:
        raise TransferError(f"{host} answers {status} to a signed URL.")


def _host(url: str) -> str:
    """The host, the only part of a signed URL that may be shown."""
    return httpx2.URL(url).host


async def _chunks(file: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(file.open, "rb") as opened:
        while chunk := await asyncio.to_thread(opened.read, CHUNK_BYTES):
            yield chunk
