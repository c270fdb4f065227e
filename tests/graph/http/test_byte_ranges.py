"""Ranges of an object, as they are asked for and answered."""

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx2
import pytest

from documents.storage.bucket import Download
from tests.support.storage import Place

CONTENT = b"0123456789"


async def asked(folder: Place, method: str = "GET", **headers: str) -> httpx2.Response:
    """The answer to a request for an object of ten bytes."""

    async def content() -> AsyncIterator[bytes]:
        yield CONTENT

    key = f"outputs/object_{uuid4().hex}"
    stored = await folder.bucket.write(key, content())
    download = Download(key, stored.generation, "a.csv", "text/csv")
    (signed,) = await folder.bucket.sign_downloads([download], seconds=60)
    return await folder.request(method, signed.url, headers={name.replace("_", "-"): headers[name] for name in headers})


@pytest.mark.parametrize(
    ("asked_for", "content", "said"),
    [
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("Bytes = 0-3", b"0123", "bytes 0-3/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=7-99", b"789", "bytes 7-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-99", CONTENT, "bytes 0-9/10"),
        ("bytes=5-6, 0-1, 2-4", b"0123456", "bytes 0-6/10"),
        ("bytes=0-1, 99-", b"01", "bytes 0-1/10"),
    ],
)
async def test_a_range_is_answered_by_its_bytes(folder: Place, asked_for: str, content: bytes, said: str) -> None:
    response = await asked(folder, range=asked_for)

    assert (response.status_code, response.content, response.headers["content-range"]) == (206, content, said)


@pytest.mark.parametrize(
    "asked_for",
    [
        "rows=0-1",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=3-2",
        "bytes=0-1,x",
        "bytes=+0-1",
        "bytes=0-" + "9" * 5_000,
        "bytes=" + ",".join(["0-0"] * 101),
    ],
    ids=lambda asked_for: asked_for[:20],
)
async def test_what_is_no_range_of_bytes_is_ignored(folder: Place, asked_for: str) -> None:
    response = await asked(folder, range=asked_for)

    assert (response.status_code, response.content) == (200, CONTENT)


@pytest.mark.parametrize("asked_for", ["bytes=10-", "bytes=99-100", "bytes=-0"])
async def test_a_range_beyond_the_object_is_refused_with_its_size(folder: Place, asked_for: str) -> None:
    response = await asked(folder, range=asked_for)

    assert (response.status_code, response.headers["content-range"]) == (416, "bytes */10")


async def test_several_ranges_come_in_parts(folder: Place) -> None:
    response = await asked(folder, range="bytes=8-9,0-1")

    assert response.status_code == 206
    assert response.content.count(b"content-range: bytes ") + response.content.count(b"Content-Range: bytes ") == 2
    assert [part in response.content for part in (b"\r\n\r\n01\r\n", b"\r\n\r\n89\r\n")] == [True, True]


async def test_head_tells_of_an_object_what_get_does(folder: Place) -> None:
    response = await asked(folder, "HEAD")

    assert (response.status_code, response.headers["content-length"], response.content) == (200, "10", b"")
