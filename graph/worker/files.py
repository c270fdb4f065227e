"""Bytes to and from signed URLs."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Coroutine, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2

from graph.worker.server import PASSING, Json, Server, Unreachable

CHUNK = 1_048_576
AT_ONCE = 4
"""Files on their way at the same time."""
STORED_ALREADY = 412


class NotMoved(Exception):
    """Bytes could not be fetched or stored, whatever is tried."""


class UrlRefused(NotMoved):
    """A signed URL is not taken, perhaps because its time is over: another may be."""


async def together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all of it at the same time. What fails first is raised, and ends the rest."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except BaseExceptionGroup as several:
        raise _first(several) from None


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def sha256_of(file: Path) -> str:
    """The SHA-256 of a file in hexadecimal."""

    def digest() -> str:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()

    return await asyncio.to_thread(digest)


async def fetch(server: Server, signed: Json, file: Path, sha256: str | None) -> None:
    """Put the bytes at a signed URL into a new file. Raises Unreachable, UrlRefused and NotMoved."""
    digest = hashlib.sha256()
    url = urljoin(server.address, signed["url"])
    try:
        async with server.files.stream("GET", url, headers=signed["headers"], follow_redirects=False) as response:
            _check(response)
            with file.open("wb") as opened:
                async for chunk in response.aiter_raw(CHUNK):
                    await asyncio.to_thread(opened.write, chunk)
                    digest.update(chunk)
    except httpx2.TransportError as error:
        raise Unreachable(f"{_host(url)} does not answer: {type(error).__name__}.") from None
    if sha256 and digest.hexdigest() != sha256:
        raise NotMoved(f"{file.name} arrived with the SHA-256 {digest.hexdigest()}, not {sha256}.")


async def store(server: Server, signed: Json, file: Path, size: int) -> None:
    """Send a file to a signed URL. Raises Unreachable, UrlRefused and NotMoved."""
    url = urljoin(server.address, signed["url"])
    headers = {**signed["headers"], "Content-Length": str(size)}
    try:
        response = await server.files.request(signed["method"], url, headers=headers, content=_chunks(file))
    except httpx2.LocalProtocolError:
        raise NotMoved(f"{file.name} was changed while it was sent.") from None
    except httpx2.TransportError as error:
        raise Unreachable(f"{_host(url)} does not answer: {type(error).__name__}.") from None
    # Bytes that are there already came by an earlier try; whether they are the right ones is seen when they are
    # registered.
    if response.status_code != STORED_ALREADY:
        _check(response)


def _check(response: httpx2.Response) -> None:
    status = response.status_code
    if status in PASSING:
        raise Unreachable(f"{_host(str(response.request.url))} answers {status}.")
    if status in (401, 403):
        raise UrlRefused(f"{_host(str(response.request.url))} does not take a signed URL: {status}.")
    if not response.is_success:
        raise NotMoved(f"{_host(str(response.request.url))} answers {status} to a signed URL.")


def _host(url: str) -> str:
    """What may be told of a signed URL."""
    return httpx2.URL(url).host


async def _chunks(file: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(file.open, "rb") as opened:
        while chunk := await asyncio.to_thread(opened.read, CHUNK):
            yield chunk
