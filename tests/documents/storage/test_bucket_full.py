"""A bucket that is full says so, keeps nothing of what did not fit, and goes on taking what fits."""

import errno
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from documents.storage.bucket import BucketFull, BucketUnavailable
from documents.storage.folder_bucket import FolderBucket
from documents.storage.google_bucket import GoogleBucket
from tests.documents.storage.test_bucket import giving
from tests.support.storage import Gate, serve

MEGABYTE = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if mounted.returncode:
        pytest.skip("file systems may not be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def files(folder: Path) -> list[Path]:
    return [one for one in folder.rglob("*") if one.is_file() and one.name != "signing.key"]


@pytest.mark.parametrize("pieces", [1, 3, 40])
async def test_a_folder_on_a_full_disk_keeps_nothing_of_what_does_not_fit(small_disk: Path, pieces: int) -> None:
    bucket = FolderBucket(small_disk / "bucket")

    with pytest.raises(BucketFull) as refused:
        await bucket.write("outputs/large", giving([bytes(2 * MEGABYTE // pieces)] * pieces))
    left = files(bucket.folder)
    await bucket.write("outputs/small", giving([b"fits"]))

    assert str(refused.value) == "The bucket is full: No space left on device."
    assert left == []
    assert await bucket.stat("outputs/large") is None
    assert len(files(bucket.folder)) == 1


async def test_a_folder_whose_key_does_not_fit_signs_when_there_is_room(small_disk: Path) -> None:
    bucket, filler = FolderBucket(small_disk / "bucket"), small_disk / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(small_disk).free))

    with pytest.raises(BucketFull):
        await bucket.sign_upload("outputs/a", size=1, media_type="text/csv", seconds=60)
    left = [one for one in small_disk.rglob("*") if one.is_file()]
    filler.unlink()
    signed = await bucket.sign_upload("outputs/a", size=1, media_type="text/csv", seconds=60)

    assert left == [filler]
    assert "signature=" in signed.url


@pytest.mark.parametrize(
    ("number", "raised", "said"),
    [
        (errno.ENOSPC, BucketFull, "The bucket is full: No space left on device."),
        (errno.EDQUOT, BucketFull, "The bucket is full: Disk quota exceeded."),
        (errno.EFBIG, BucketFull, "The bucket is full: File too large."),
        (errno.EMFILE, BucketUnavailable, "The bucket cannot be used: Too many open files."),
        (errno.EIO, BucketUnavailable, "The bucket cannot be used: Input/output error."),
    ],
)
@pytest.mark.parametrize("at", ["_make_private", "_write_durably", "_sync_directory"])
async def test_what_the_disk_refuses_is_told_wherever_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, raised: type[Exception], said: str, at: str
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    bucket = FolderBucket(tmp_path / "bucket")
    monkeypatch.setattr(f"documents.storage.folder_bucket.{at}", refuse)

    with pytest.raises(raised, match=said) as refused:
        await bucket.write("outputs/a", giving([b"bytes"]))

    assert type(refused.value) is raised
    assert [one for one in files(bucket.folder) if "partial" in one.parts] == []


async def test_what_senders_raise_is_not_taken_for_the_disk(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError(errno.ECONNRESET, "reset")

    with pytest.raises(ConnectionResetError):
        await FolderBucket(tmp_path / "bucket").write("outputs/a", broken())


def google_that_refuses(status: int, reason: str) -> Starlette:
    """Google's answers to uploads; whatever else is asked finds nothing."""

    async def refuse(request: Request) -> Response:
        return JSONResponse({"error": {"code": status, "message": "no", "errors": [{"reason": reason}]}}, status)

    return Starlette(routes=[Route("/{path:path}", refuse, methods=["GET", "POST", "PUT", "DELETE"])])


@pytest.mark.parametrize(
    ("status", "reason", "raised"),
    [(403, "quotaExceeded", BucketFull), (403, "rateLimitExceeded", BucketUnavailable), (507, "any", BucketFull)],
)
@pytest.mark.parametrize("size", [10, 9 * MEGABYTE])
async def test_google_over_its_quota_is_full_and_one_that_is_asked_too_fast_is_away(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, status: int, reason: str, raised: type[Exception], size: int
) -> None:
    monkeypatch.setattr("google.api_core.retry.retry_unary.time.sleep", lambda seconds: None)
    with serve(google_that_refuses(status, reason)) as url:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        bucket = GoogleBucket("lab", signing=gate.signing(), endpoint=url)

        with pytest.raises(raised) as refused:
            await bucket.write("outputs/a", giving([bytes(size)]))
        await bucket.close()

    assert type(refused.value) is raised
