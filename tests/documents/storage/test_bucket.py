"""Objects in a bucket: the same for a folder and for Google Cloud Storage."""

import asyncio
import hashlib
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from itertools import count
from urllib.parse import urlsplit

import pytest

from documents.base import now
from documents.storage import folder_bucket, google_bucket
from documents.storage.bucket import (
    Bucket,
    Download,
    ObjectExists,
    ObjectInfo,
    ObjectNotFound,
    content_disposition,
    download_name,
)
from tests.support.storage import Place

MEGABYTE = 1024 * 1024
REFUSED = {400, 403, 404, 405, 412, 413}
_numbers = count(1)


def a_key(place: Place) -> str:
    return f"{place.bucket.prefix}outputs/object_{next(_numbers)}"


async def giving(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def kept(bucket: Bucket, key: str) -> bytes | None:
    """The bytes of an object, None when there is none."""
    stored = await bucket.stat(key)
    return None if stored is None else b"".join([chunk async for chunk in bucket.read(key, stored.generation)])


async def upload_url(place: Place, key: str, size: int, seconds: int = 60) -> tuple[str, dict[str, str]]:
    signed = await place.bucket.sign_upload(key, size=size, media_type="text/csv", seconds=seconds)
    assert signed.method == "PUT"
    return signed.url, signed.headers


async def download_url(place: Place, key: str, generation: int, name: str = "data.csv", seconds: int = 60) -> str:
    (signed,) = await place.bucket.sign_downloads([Download(key, generation, name, "text/csv")], seconds=seconds)
    assert (signed.method, signed.headers) == ("GET", {})
    return signed.url


@pytest.mark.parametrize("sizes", [[], [0], [5], [MEGABYTE] * 20 + [7], [20 * MEGABYTE]], ids=str)
async def test_what_is_written_is_read_as_it_was(place: Place, sizes: list[int]) -> None:
    chunks, key = [bytes([number % 251]) * size for number, size in enumerate(sizes, 1)], a_key(place)

    written = await place.bucket.write(key, giving(chunks))

    assert written == await place.bucket.stat(key)
    assert written.size == sum(sizes)
    assert await kept(place.bucket, key) == b"".join(chunks)


async def test_an_object_is_never_overwritten(place: Place) -> None:
    key = a_key(place)
    first = await place.bucket.write(key, giving([b"first"]))

    with pytest.raises(ObjectExists):
        await place.bucket.write(key, giving([b"second"]))

    assert await place.bucket.stat(key) == first
    assert await kept(place.bucket, key) == b"first"


async def test_of_many_writers_at_once_one_wins_whole(place: Place) -> None:
    key = a_key(place)
    wanted = [bytes([number]) * (MEGABYTE + number) for number in range(8)]

    found = await asyncio.gather(*(place.bucket.write(key, giving([one])) for one in wanted), return_exceptions=True)

    winners = [one for one, result in zip(wanted, found, strict=True) if isinstance(result, ObjectInfo)]
    assert [type(result) for result in found].count(ObjectExists) == 7
    assert await kept(place.bucket, key) in winners


@pytest.mark.parametrize("before", [3, 20 * MEGABYTE])
async def test_a_writer_that_fails_leaves_nothing(place: Place, before: int) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"x" * before
        raise ValueError("broken off")

    key = a_key(place)
    with pytest.raises(ValueError, match="broken off"):
        await place.bucket.write(key, failing())

    assert await place.bucket.stat(key) is None
    await place.bucket.write(key, giving([b"later"]))
    assert await kept(place.bucket, key) == b"later"


async def test_a_writer_that_is_cancelled_leaves_nothing(place: Place) -> None:
    taken = asyncio.Event()

    async def hanging() -> AsyncIterator[bytes]:
        yield b"x" * 20 * MEGABYTE
        taken.set()
        await asyncio.Event().wait()

    key = a_key(place)
    writing = asyncio.create_task(place.bucket.write(key, hanging()))
    await taken.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    assert await place.bucket.stat(key) is None


async def test_what_was_deleted_is_gone_and_deleting_nothing_is_no_mistake(place: Place) -> None:
    key = a_key(place)
    stored = await place.bucket.write(key, giving([b"bytes"]))

    for _ in range(2):
        await place.bucket.delete(key)

    assert await place.bucket.stat(key) is None
    with pytest.raises(ObjectNotFound):
        await anext(aiter(place.bucket.read(key, stored.generation)))


async def test_another_generation_is_another_object(place: Place) -> None:
    key = a_key(place)
    before = await place.bucket.write(key, giving([b"before"]))
    await place.bucket.delete(key)
    after = await place.bucket.write(key, giving([b"after"]))

    assert before.generation != after.generation
    with pytest.raises(ObjectNotFound):
        await anext(aiter(place.bucket.read(key, before.generation)))
    old, new = [await download_url(place, key, stored.generation) for stored in (before, after)]
    assert (await place.request("GET", old)).status_code == 404
    assert (await place.request("GET", new)).content == b"after"


@pytest.mark.parametrize(
    "key", ["", "../x", "a/../b", "a//b", "/etc/passwd", "a\0b", "a/", ".key", "a/.b", "ä", "a b", "a\n", "a" * 501]
)
async def test_what_is_no_name_of_an_object_reaches_no_file(place: Place, key: str) -> None:
    with pytest.raises(ValueError, match="is not a name of an object"):
        await place.bucket.stat(key)
    with pytest.raises(ValueError, match="is not a name of an object"):
        await place.bucket.write(key, giving([b"x"]))


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\0\xff" * MEGABYTE], ids=len)
async def test_an_upload_url_stores_the_object_once(place: Place, content: bytes) -> None:
    key = a_key(place)
    url, headers = await upload_url(place, key, len(content))

    first = await place.request("PUT", url, content=content, headers=headers)
    stored = await place.bucket.stat(key)
    again = await place.request("PUT", url, content=content, headers=headers)

    assert first.status_code in (200, 201)
    assert again.status_code == 412
    assert stored == await place.bucket.stat(key)
    assert await kept(place.bucket, key) == content


@pytest.mark.parametrize("content", [b"", b"1234", b"123456", b"x" * MEGABYTE], ids=len)
@pytest.mark.parametrize("announced", [True, False])
async def test_an_upload_of_another_size_is_refused(place: Place, content: bytes, announced: bool) -> None:
    key = a_key(place)
    url, headers = await upload_url(place, key, 5)

    sent = content if announced else iter([content[:3], content[3:]])
    answer = await place.request("PUT", url, content=sent, headers=headers)

    assert answer.status_code in (400, 413)
    assert await place.bucket.stat(key) is None


async def test_of_uploads_at_once_one_is_kept_whole(place: Place) -> None:
    key = a_key(place)
    url, headers = await upload_url(place, key, MEGABYTE)
    wanted = [bytes([number]) * MEGABYTE for number in range(6)]

    answers = await asyncio.gather(*(place.request("PUT", url, content=one, headers=headers) for one in wanted))

    winners = [one for one, answer in zip(wanted, answers, strict=True) if answer.status_code in (200, 201)]
    assert [answer.status_code for answer in answers].count(412) == 5
    assert [await kept(place.bucket, key)] == winners


async def test_a_download_url_reads_all_or_a_part_under_a_safe_name(place: Place) -> None:
    key = a_key(place)
    stored = await place.bucket.write(key, giving([b"0123456789"]))
    url = await download_url(place, key, stored.generation, 'plots/../"é"\u202e;x.csv')

    whole = await place.request("GET", url)
    head = await place.request("HEAD", url)
    part = await place.request("GET", url, headers={"Range": "bytes=2-5"})

    assert (whole.status_code, whole.content, head.status_code, head.content) == (200, b"0123456789", 200, b"")
    assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"2345", "bytes 2-5/10")
    assert whole.headers["content-type"].startswith("text/csv")
    assert whole.headers["content-disposition"] == (
        "attachment; filename=\"_e___x.csv\"; filename*=UTF-8''_%C3%A9___x.csv"
    )


async def test_a_url_serves_one_object_by_one_method_with_its_own_parameters(place: Place) -> None:
    key, other = a_key(place), a_key(place)
    stored = await place.bucket.write(key, giving([b"mine"]))
    await place.bucket.write(other, giving([b"theirs"]))
    fresh = a_key(place)
    down = await download_url(place, key, stored.generation)
    up, headers = await upload_url(place, fresh, 4)

    attempts = {
        ("PUT", down): {}, ("DELETE", down): {}, ("POST", down): {},
        ("GET", up): {}, ("HEAD", up): {}, ("DELETE", up): {},
        ("GET", down.replace(key, other)): {}, ("PUT", up.replace(fresh, a_key(place))): headers,
        ("GET", down.replace(key, f"{key}/../{other.rpartition('/')[2]}")): {},
        ("GET", down.partition("?")[0]): {}, ("GET", tampered(down)): {}, ("PUT", tampered(up)): headers,
        ("GET", f"{down}&generation=1"): {}, ("GET", f"{down}&extra=1"): {},
        ("GET", down.replace("text%2Fcsv", "text%2Fhtml")): {},
        ("GET", later(down)): {}, ("PUT", later(up)): headers,
    }  # fmt: skip
    for (method, url), sent in attempts.items():
        answer = await place.request(method, url, content=b"evil" if method == "PUT" else None, headers=sent)
        assert answer.status_code in REFUSED, (method, url)
        assert answer.content not in (b"mine", b"theirs")

    assert await kept(place.bucket, key) == b"mine"
    assert await place.bucket.stat(fresh) is None
    assert (await place.request("PUT", up, content=b"good", headers=headers)).status_code in (200, 201)


def tampered(url: str) -> str:
    """The URL with another last digit in its signature."""
    return url[:-1] + ("0" if url[-1] != "0" else "1")


def later(url: str) -> str:
    """The URL with another time at which it ends."""
    return url.replace("expires=1", "expires=2").replace("X-Goog-Expires=60", "X-Goog-Expires=600")


async def test_a_url_that_has_expired_serves_nothing(place: Place) -> None:
    key, fresh = a_key(place), a_key(place)
    stored = await place.bucket.write(key, giving([b"mine"]))
    down = await download_url(place, key, stored.generation, seconds=1)
    up, headers = await upload_url(place, fresh, 4, seconds=1)

    await asyncio.sleep(2.05)

    assert (await place.request("GET", down)).status_code == 403
    assert (await place.request("PUT", up, content=b"late", headers=headers)).status_code == 403
    assert await place.bucket.stat(fresh) is None


async def test_a_signed_request_shows_no_signature_in_a_log(place: Place) -> None:
    signed = await place.bucket.sign_upload(a_key(place), size=1, media_type="text/csv", seconds=60)

    assert urlsplit(signed.url).query
    assert "ignature" not in repr(signed)


async def test_many_urls_are_signed_without_keeping_the_loop_busy(place: Place) -> None:
    wanted = [Download(a_key(place), number, "a.csv") for number in range(500)]
    longest, watching = 0.0, True

    async def watch() -> None:
        nonlocal longest
        while watching:
            # CPU time of this thread, which other work on the machine does not lengthen.
            before = time.thread_time()
            await asyncio.sleep(0.001)
            longest = max(longest, time.thread_time() - before)

    watcher = asyncio.create_task(watch())
    signed = await place.bucket.sign_downloads(wanted, seconds=60)
    watching = False
    await watcher

    # On one thread it would take Google's client a second or so.
    assert len({one.url for one in signed}) == 500
    assert longest < 0.3


async def test_large_objects_pass_through_little_memory(place: Place) -> None:
    megabytes, key = 200 if place.is_folder else 64, a_key(place)
    piece = bytes(range(256)) * 4096
    digest = hashlib.sha256()

    tracemalloc.start()
    try:
        await place.bucket.write(key, giving(piece for _ in range(megabytes)))
        stored = await place.bucket.stat(key)
        assert stored
        async for chunk in place.bucket.read(key, stored.generation):
            digest.update(chunk)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    expected = hashlib.sha256()
    for _ in range(megabytes):
        expected.update(piece)
    assert digest.hexdigest() == expected.hexdigest()
    assert peak < (8 if place.is_folder else 40) * MEGABYTE


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("data.csv", "data.csv"),
        ("plots/map.png", "map.png"),
        ("..\\..\\evil.exe", "evil.exe"),
        ('a"b;c\r\nd', "a_b_c__d"),
        ("../..", "download"),
        ("", "download"),
        ("\ud800x", "_x"),
        ("x" * 300, "x" * 200),
    ],
)
def test_a_file_is_offered_under_a_name_that_misleads_nobody(name: str, shown: str) -> None:
    assert download_name(name) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plots/data.csv", "data.csv"),
        ("Zürich Gebäude.csv", "Zurich Gebaude.csv"),
        ("統計.csv", "__.csv"),
        ("50%41 of all.csv", "50_41 of all.csv"),
        ("a／b＂c.csv", "a_b_c.csv"),
        ("…", "download"),
    ],
)
def test_clients_that_know_ascii_alone_are_offered_a_name_as_well(name: str, shown: str) -> None:
    assert f'; filename="{shown}"; ' in content_disposition(name)


async def test_objects_are_listed_in_pages_with_size_generation_and_time(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (folder_bucket, google_bucket):
        monkeypatch.setattr(module, "LIST_PAGE_SIZE", 2)
    folder, began = f"{place.bucket.prefix}listed_{next(_numbers)}/", now()
    keys = [f"{folder}{name}" for name in ("a", "a-b", "b/c/d")]
    written = {key: await place.bucket.write(key, giving([b"x" * size])) for size, key in enumerate(keys)}
    await place.bucket.write(f"{folder.rstrip('/')}-of-others", giving([b"x"]))

    pages = [page async for page in place.bucket.list_objects(folder)]
    none = [page async for page in place.bucket.list_objects(f"{folder}none/")]

    assert sorted(len(page) for page in pages) == [1, 2]
    listed = {stored.key: stored for page in pages for stored in page}
    assert {key: ObjectInfo(one.size, one.generation) for key, one in listed.items()} == written
    assert all(began - timedelta(seconds=1) < one.created_at < now() + timedelta(seconds=1) for one in listed.values())
    assert none == []
