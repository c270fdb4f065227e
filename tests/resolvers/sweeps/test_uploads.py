"""Sweeping uploads: what expires unregistered is removed, and nothing that somebody is at work on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

import documents
from documents.base import now
from documents.storage.bucket import Bucket
from documents.storage.upload import UploadPurpose, UploadStatus
from resolvers.access.viewer import Role, Viewer
from resolvers.limits import UPLOAD_LIFETIME
from resolvers.storage.verify_upload import verify_upload
from resolvers.sweeps import uploads
from resolvers.sweeps.uploads import ENDED_UPLOAD_RETENTION, sweep_uploads
from resolvers.twins import register_output
from tests.support.builders import a_user
from tests.support.clock import Clock
from tests.support.patience import within
from tests.support.storage import Place
from tests.support.uploading import (
    a_running_step,
    create,
    is_stored,
    refusal_of,
    register,
    send,
    the_upload,
    upload_bytes,
)

pytestmark = pytest.mark.usefixtures("database", "stopped")

WORKER = Viewer(Role.WORKER, token_id="token_worker")


async def test_what_expired_unregistered_is_swept_and_nothing_else(place: Place) -> None:
    step = await a_running_step(a_user(), WORKER.key)
    names = ["waiting", "checked", "wrong", "registered", "empty"]
    ids = {name: await upload_bytes(place, WORKER, name.encode()) for name in names[:2]}
    ids["wrong"] = await upload_bytes(place, WORKER, b"wrong", sha256="1" * 64)
    ids["registered"] = await upload_bytes(place, WORKER, b"registered")
    ids["empty"] = (await create(WORKER))["upload"]["id"]
    await verify_upload(WORKER, ids["checked"], UploadPurpose.OUTPUT)
    await register(WORKER, step, fileName="wrong", uploadId=ids["wrong"])
    await register(WORKER, step, uploadId=ids["registered"])

    assert await sweep_uploads(place.bucket, now()) == 0
    assert [name for name in names if await is_stored(place, ids[name])] == ["waiting", "checked", "registered"]
    later = now() + UPLOAD_LIFETIME + timedelta(minutes=1)
    assert await sweep_uploads(place.bucket, later) == 4
    assert await sweep_uploads(place.bucket, later) == 0

    assert [name for name in names if await is_stored(place, ids[name])] == ["registered"]
    for name in ("waiting", "checked", "empty"):
        assert refusal_of(await register(WORKER, step, fileName=name, uploadId=ids[name]))[0] == "INVALID_STATE"


async def test_bytes_that_arrive_after_the_sweep_go_with_the_upload(place: Place) -> None:
    upload = (await create(WORKER))["upload"]
    at = now() + UPLOAD_LIFETIME + timedelta(minutes=1)
    await sweep_uploads(place.bucket, at)
    await send(place, upload, b"a,b\n")
    key = (await the_upload(upload["id"])).key

    await sweep_uploads(place.bucket, at + ENDED_UPLOAD_RETENTION)

    assert await place.bucket.stat(key) is None
    assert await documents.Upload.count() == 0


async def test_what_is_registered_while_the_sweep_looks_at_it_keeps_its_bytes(
    folder: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = await a_running_step(a_user(), WORKER.key)
    id = await upload_bytes(folder, WORKER)
    payloads: list[Any] = []

    async def meanwhile() -> None:
        payloads.append(await register(WORKER, step, uploadId=id))

    before_removing(monkeypatch, meanwhile)
    swept = await sweep_uploads(folder.bucket, now() + UPLOAD_LIFETIME + timedelta(minutes=1))

    assert [payload["userErrors"] for payload in payloads] == [[]]
    assert (swept, await is_stored(folder, id)) == (0, True)
    assert (await the_upload(id)).status is UploadStatus.REGISTERED


async def test_what_is_swept_while_it_is_registered_becomes_no_output(
    folder: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = await a_running_step(a_user(), WORKER.key)
    id = await upload_bytes(folder, WORKER)

    async def swept_after_reading(*given: Any) -> Any:
        upload = await verify_upload(*given)
        assert await sweep_uploads(folder.bucket, now() + UPLOAD_LIFETIME + timedelta(minutes=1)) == 1
        return upload

    monkeypatch.setattr(register_output, "verify_upload", swept_after_reading)

    assert refusal_of(await register(WORKER, step, uploadId=id)) == ("INVALID_STATE", ["input", "uploadId"])
    assert (await documents.Output.count(), await is_stored(folder, id)) == (0, False)


async def test_bytes_that_are_being_read_are_not_swept(
    folder: Place, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    id = await upload_bytes(folder, WORKER)
    reader = Reader(folder, monkeypatch)
    clock.forward(UPLOAD_LIFETIME.total_seconds() - 1)
    reading = await reader.begin(id)
    clock.forward(30)

    assert await sweep_uploads() == 0
    assert (await the_upload(id)).status is UploadStatus.CHECKING
    reader.go_on.set()
    assert (await reading)["status"] == "CHECKED"
    assert await is_stored(folder, id)


async def test_bytes_are_kept_for_as_long_as_reading_them_takes(
    folder: Place, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    id = await upload_bytes(folder, WORKER)
    monkeypatch.setattr("resolvers.storage.verify_upload.LEASE_RENEWAL_INTERVAL", -1.0)
    reader = Reader(folder, monkeypatch)
    reader.may_end.clear()
    clock.forward(UPLOAD_LIFETIME.total_seconds() - 1)
    reading = await reader.begin(id)
    clock.forward(50)
    reader.go_on.set()
    await asyncio.wait_for(reader.at_end.wait(), within())
    clock.forward(50)

    assert await sweep_uploads() == 0
    reader.may_end.set()
    assert (await reading)["status"] == "CHECKED"


@pytest.mark.parametrize("before", [{}, {"status": "CHECKING", "holder": "gone"}], ids=["unread", "its reader is gone"])
async def test_bytes_that_come_to_be_read_while_the_sweep_looks_at_them_are_left(
    folder: Place, monkeypatch: pytest.MonkeyPatch, clock: Clock, before: dict[str, Any]
) -> None:
    id = await upload_bytes(folder, WORKER)
    expired = {"leaseExpiresAt": now(), **before}
    await documents.Upload.get_pymongo_collection().update_one({"_id": id}, {"$set": expired})
    reader = Reader(folder, monkeypatch)
    readings: list[asyncio.Task[Any]] = []

    async def meanwhile() -> None:
        # Asked for a moment before its time was over.
        clock.forward(-2)
        readings.append(await reader.begin(id))
        clock.forward(2)

    before_removing(monkeypatch, meanwhile)
    clock.forward(UPLOAD_LIFETIME.total_seconds() + 1)
    swept = await sweep_uploads()
    reader.go_on.set()

    assert [(await reading)["status"] for reading in readings] == ["CHECKED"]
    assert (swept, await is_stored(folder, id)) == (0, True)


def before_removing(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], Awaitable[None]]) -> None:
    """Let something happen after the next sweep has found what to remove, and before it removes that."""
    expired = uploads._expired_uploads

    async def found_before(bucket: Bucket, at: datetime) -> AsyncIterator[Any]:
        found = [upload async for upload in expired(bucket, at)]
        assert found
        await meanwhile()
        for upload in found:
            yield upload

    monkeypatch.setattr(uploads, "_expired_uploads", found_before)


class Reader:
    """Reads the bytes of an upload, and is held up before the first and, if it may not end, after the last of them."""

    def __init__(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go_on, self.at_end, self.may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.may_end.set()
        self._begun, self._read = asyncio.Event(), place.bucket.read
        monkeypatch.setattr(place.bucket, "read", self._held_up)

    async def begin(self, id: str) -> asyncio.Task[Any]:
        """The upload once its bytes have been read, which has begun."""
        reading = asyncio.create_task(verify_upload(WORKER, id, UploadPurpose.OUTPUT, timeout=60))
        async with asyncio.timeout(within()):
            await self._begun.wait()
        return reading

    async def _held_up(self, key: str, generation: int) -> AsyncIterator[bytes]:
        self._begun.set()
        await self.go_on.wait()
        async for chunk in self._read(key, generation):
            yield chunk
        self.at_end.set()
        await self.may_end.wait()
