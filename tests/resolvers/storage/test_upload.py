"""Uploads: what is announced, stored and read before anything refers to it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import documents
from documents.base import now
from documents.storage.bucket import open_bucket
from documents.storage.upload import UploadPurpose, UploadStatus
from resolvers.access.viewer import ANONYMOUS, Role, Viewer
from resolvers.limits import UPLOAD_LIFETIME
from resolvers.storage import upload as uploads
from resolvers.storage.upload import MAX_UPLOAD_BYTES
from resolvers.storage.verify_upload import verify_upload
from resolvers.user_errors import InProgress
from tests.support.asking import ADMIN
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

pytestmark = pytest.mark.usefixtures("database")

WORKER = Viewer(Role.WORKER, token_id="token_worker")
OTHER = Viewer(Role.WORKER, token_id="token_other")


async def test_an_upload_is_a_request_for_exactly_the_announced_bytes(place: Place) -> None:
    before = datetime.now(UTC)
    payload = await create(WORKER, b"12345")
    after = datetime.now(UTC)

    assert payload["userErrors"] == []
    target = payload["upload"]["target"]
    expires = datetime.fromisoformat(target["expiresAt"])
    assert target["method"] == "PUT"
    assert before + timedelta(minutes=59) < expires <= after + timedelta(hours=1)
    assert UPLOAD_LIFETIME - timedelta(minutes=1) < datetime.fromisoformat(payload["upload"]["expiresAt"]) - before
    kept = await the_upload(payload["upload"]["id"])
    assert kept.key == f"{place.bucket.prefix}outputs/{kept.id}"
    assert kept.bucket == place.bucket.name


async def test_nothing_that_is_kept_of_an_upload_signs_anything(place: Place) -> None:
    payload = await create(WORKER, idempotencyKey="once")
    signature = payload["upload"]["target"]["url"].rpartition("ignature=")[2]

    for document in documents.ALL:
        assert signature not in str(await document.get_pymongo_collection().find().to_list())


async def test_the_same_key_answers_the_same_upload_signed_afresh(place: Place) -> None:
    first, again = [await create(WORKER, idempotencyKey="once") for _ in range(2)]

    assert first["upload"]["id"] == again["upload"]["id"]
    assert await documents.Upload.count() == 1
    await send(place, again["upload"], b"a,b\n")


@pytest.mark.usefixtures("stopped")
async def test_a_url_ends_with_its_upload(place: Place, clock: Clock) -> None:
    first = (await create(WORKER, idempotencyKey="once"))["upload"]
    clock.forward((UPLOAD_LIFETIME - timedelta(minutes=10)).total_seconds())

    again = (await create(WORKER, idempotencyKey="once"))["upload"]

    left = seconds_until(again["target"]["expiresAt"])
    assert again["expiresAt"] == first["expiresAt"]
    assert 0 < left <= seconds_until(first["expiresAt"]) <= 600


def seconds_until(time: str) -> float:
    """From now until a time, by the clock of the server."""
    return (datetime.fromisoformat(time) - now()).total_seconds()


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("sizeBytes", -1, "VALIDATION"),
        ("sizeBytes", MAX_UPLOAD_BYTES[UploadPurpose.OUTPUT] + 1, "LIMIT_EXCEEDED"),
        ("sha256", "0" * 63, "VALIDATION"),
        ("sha256", "g" * 64, "VALIDATION"),
        ("sha256", "٠" * 64, "VALIDATION"),
        ("mediaType", "csv", "VALIDATION"),
        ("mediaType", "text/csv\r\nX-Evil: 1", "VALIDATION"),
        ("mediaType", "", "VALIDATION"),
        ("mediaType", "text/csv; header", "VALIDATION"),
        ("mediaType", 'text/csv; header="a\r\nX-Evil: 1"', "VALIDATION"),
        ("mediaType", 'text/csv; header="a', "VALIDATION"),
        ("mediaType", f"text/csv; header={'x' * 500}", "VALIDATION"),
        ("fileName", "../../etc/passwd", "VALIDATION"),
        ("fileName", "/etc/passwd", "VALIDATION"),
        ("fileName", "a//b", "VALIDATION"),
        ("fileName", "a\0b", "VALIDATION"),
        ("fileName", "a\\b", "VALIDATION"),
        ("fileName", "a\nb", "VALIDATION"),
        ("fileName", " ", "VALIDATION"),
        ("fileName", "x" * 1001, "VALIDATION"),
    ],
)
async def test_what_cannot_be_taken_is_refused_by_name(field: str, value: Any, code: str) -> None:
    assert refusal_of(await create(WORKER, **{field: value})) == (code, ["input", field])
    assert await documents.Upload.count() == 0


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("sizeBytes", -1, "sizeBytes must not be negative, but is -1."),
        ("sha256", "0" * 63, f"sha256 must be a SHA-256 as 64 hexadecimal digits, not '{'0' * 63}'."),
        ("mediaType", "csv", "mediaType must be a media type such as text/csv, not 'csv'."),
    ],
)
async def test_what_cannot_be_taken_is_refused_in_words(field: str, value: Any, message: str) -> None:
    (error,) = (await create(WORKER, **{field: value}))["userErrors"]

    assert error["message"] == message


@pytest.mark.parametrize(
    "media_type",
    [
        "text/csv; header=present; charset=utf-8",
        "text/csv;charset=utf-8;header=present",
        'application/ld+json; profile="https://www.w3.org/ns/json-ld#expanded a; b"',
        r'text/plain; note="a \"quoted\" one"',
    ],
)
async def test_a_media_type_may_have_parameters(place: Place, media_type: str) -> None:
    step = await a_running_step(a_user(), WORKER.key)
    id = await upload_bytes(place, WORKER, mediaType=media_type)

    output = (await register(WORKER, step, uploadId=id))["output"]

    assert output["fileType"] == media_type
    assert (await place.request("GET", output["downloadUrl"]["url"])).headers["content-type"].startswith(media_type)


@pytest.mark.parametrize("name", ["data.csv", "plots/map.png", "größe 🜁.csv", "…", "a..b", "$where", "%2e%2e%2fx"])
async def test_any_other_name_is_only_shown(place: Place, name: str) -> None:
    step = await a_running_step(a_user(), WORKER.key)
    id = await upload_bytes(place, WORKER, fileName=name)

    output = (await register(WORKER, step, fileName=name, uploadId=id))["output"]

    assert output["fileName"] == name
    assert output["key"] == f"{place.bucket.prefix}outputs/{id}"
    assert (await place.request("GET", output["downloadUrl"]["url"])).content == b"a,b\n"


async def test_anonymous_callers_upload_nothing() -> None:
    assert refusal_of(await create(ANONYMOUS))[0] == "FORBIDDEN"
    assert await documents.Upload.count() == 0


async def test_without_a_bucket_there_are_no_uploads() -> None:
    open_bucket(None)

    payload = await create(WORKER)

    assert payload["userErrors"][0]["message"] == "This server stores no files: PROVENANCE_BUCKET is not set."
    assert await documents.Upload.count() == 0


async def test_uploads_that_nobody_registers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MAX_OPEN_UPLOADS", 2)

    *first, beyond = [await create(WORKER) for _ in range(3)]

    assert [payload["userErrors"] for payload in first] == [[], []]
    assert refusal_of(beyond) == ("LIMIT_EXCEEDED", ["input"])
    message = "2 of your uploads wait to be registered; register some of them first."
    assert beyond["userErrors"][0]["message"] == message
    assert (await create(OTHER))["userErrors"] == []


@pytest.mark.parametrize("content", [b"", b"a,b\n", b"\0" * 3_000_000], ids=len)
async def test_bytes_that_are_right_are_registered(place: Place, content: bytes) -> None:
    step = await a_running_step(a_user(), WORKER.key)
    id = await upload_bytes(place, WORKER, content)

    payload = await register(WORKER, step, uploadId=id)

    assert payload["userErrors"] == []
    assert payload["output"]["fileSize"] == str(len(content))
    assert payload["output"]["fileType"] == "text/csv"
    assert (await place.request("GET", payload["output"]["downloadUrl"]["url"])).content == content
    kept = await the_upload(id)
    assert (kept.status, kept.registered_as) == (UploadStatus.REGISTERED, payload["output"]["id"])
    stored = await place.bucket.stat(kept.key)
    output = await documents.Output.get(payload["output"]["id"])
    assert stored
    assert output
    assert output.generation == stored.generation


async def test_bytes_with_another_hash_are_refused_and_removed(place: Place) -> None:
    step = await a_running_step(a_user(), WORKER.key)
    id = await upload_bytes(place, WORKER, b"right", sha256="0" * 64)

    payload = await register(WORKER, step, uploadId=id)
    again = await register(WORKER, step, uploadId=id)

    assert refusal_of(payload) == ("CHECKSUM_MISMATCH", ["input", "uploadId"])
    assert payload == again
    assert "not 0000" in payload["userErrors"][0]["message"]
    assert not await is_stored(place, id)
    assert await documents.Output.count() == 0


async def test_bytes_of_another_size_are_refused_and_removed(place: Place) -> None:
    step = await a_running_step(a_user(), WORKER.key)
    upload = (await create(WORKER, b"12345"))["upload"]

    async def more() -> Any:
        yield b"123456"

    await place.bucket.write((await the_upload(upload["id"])).key, more())
    payload = await register(WORKER, step, uploadId=upload["id"])

    assert refusal_of(payload) == ("CHECKSUM_MISMATCH", ["input", "uploadId"])
    assert not await is_stored(place, upload["id"])
    assert await documents.Output.count() == 0


async def test_an_upload_without_bytes_waits_for_them(place: Place) -> None:
    step = await a_running_step(a_user(), WORKER.key)
    upload = (await create(WORKER))["upload"]

    early = await register(WORKER, step, uploadId=upload["id"])
    await send(place, upload, b"a,b\n")
    later = await register(WORKER, step, uploadId=upload["id"])

    assert refusal_of(early) == ("INVALID_STATE", ["input", "uploadId"])
    message = f"No bytes are stored for {upload['id']} yet; send them to its target first."
    assert early["userErrors"][0]["message"] == message
    assert (early["userErrors"][0]["currentState"], early["userErrors"][0]["allowedStates"]) == (
        "WAITING",
        ["UPLOADED"],
    )
    assert later["userErrors"] == []


@pytest.mark.parametrize("viewer", [OTHER, ADMIN], ids=["another worker", "an administrator"])
async def test_nobody_registers_what_another_uploaded(place: Place, viewer: Viewer) -> None:
    step = await a_running_step(a_user(), WORKER.key, OTHER.key)
    id = await upload_bytes(place, WORKER)

    assert refusal_of(await register(viewer, step, uploadId=id)) == ("NOT_FOUND", ["input", "uploadId"])
    assert refusal_of(await register(viewer, step, uploadId="upload_none")) == ("NOT_FOUND", ["input", "uploadId"])
    assert (await the_upload(id)).status is UploadStatus.WAITING


async def test_what_was_uploaded_for_an_archive_becomes_no_output(place: Place) -> None:
    step = await a_running_step(a_user(), WORKER.key)
    id = await upload_bytes(place, WORKER, purpose="ARCHIVE")

    assert refusal_of(await register(WORKER, step, uploadId=id)) == ("NOT_FOUND", ["input", "uploadId"])


async def test_many_who_ask_at_once_read_the_bytes_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    id = await upload_bytes(place, WORKER, b"x" * 1_000_000)
    reads, read = [], place.bucket.read

    def counted(key: str, generation: int) -> Any:
        reads.append(key)
        return read(key, generation)

    monkeypatch.setattr(place.bucket, "read", counted)
    found = await asyncio.gather(*(verify_upload(WORKER, id, UploadPurpose.OUTPUT, timeout=within()) for _ in range(8)))

    assert {upload["status"] for upload in found} == {"CHECKED"}
    assert len(reads) == 1


async def test_bytes_that_take_long_are_read_on_while_the_client_asks_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    id, read, may_go_on = await upload_bytes(place, WORKER), place.bucket.read, asyncio.Event()

    async def slow(key: str, generation: int) -> Any:
        await may_go_on.wait()
        async for chunk in read(key, generation):
            yield chunk

    monkeypatch.setattr(place.bucket, "read", slow)
    with pytest.raises(InProgress):
        await verify_upload(WORKER, id, UploadPurpose.OUTPUT, timeout=0.1)
    with pytest.raises(InProgress):
        await verify_upload(WORKER, id, UploadPurpose.OUTPUT, timeout=0.1)

    may_go_on.set()
    assert (await verify_upload(WORKER, id, UploadPurpose.OUTPUT, timeout=within()))["status"] == "CHECKED"


async def test_a_reader_that_was_killed_is_followed_by_another(place: Place) -> None:
    id = await upload_bytes(place, WORKER)
    killed = {"status": "CHECKING", "holder": "gone", "leaseExpiresAt": now() - timedelta(seconds=1)}
    await documents.Upload.get_pymongo_collection().update_one({"_id": id}, {"$set": killed})

    assert (await verify_upload(WORKER, id, UploadPurpose.OUTPUT))["status"] == "CHECKED"


async def test_a_bucket_that_fails_leaves_the_upload_as_it_was(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    id = await upload_bytes(place, WORKER)

    async def failing(key: str) -> Any:
        raise OSError("the disk is gone")

    with monkeypatch.context() as broken:
        broken.setattr(place.bucket, "stat", failing)
        with pytest.raises(OSError, match="the disk is gone"):
            await verify_upload(WORKER, id, UploadPurpose.OUTPUT)

    assert (await the_upload(id)).status is UploadStatus.WAITING
    assert (await verify_upload(WORKER, id, UploadPurpose.OUTPUT))["status"] == "CHECKED"
