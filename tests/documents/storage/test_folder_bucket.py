"""Particulars of a folder as a bucket: its key, its leftovers, and many processes at once."""

import multiprocessing
import os
import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from documents.storage.bucket import Download
from documents.storage.folder_bucket import PARTIAL_WRITE_TTL, FolderBucket, InvalidSignature
from tests.documents.storage.test_bucket import giving


def _made(folder: Path) -> bytes:
    return FolderBucket(folder)._secret


def test_the_signing_key_is_the_owners_alone_and_outlives_the_process(tmp_path: Path) -> None:
    folder = tmp_path / "bucket"
    secret = _made(folder)

    assert stat.S_IMODE((folder / "signing.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(secret) == 32
    assert _made(folder) == secret


def test_processes_that_start_together_agree_on_the_key(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        secrets = pool.map(_made, [tmp_path / "bucket"] * 8)

    assert len(set(secrets)) == 1
    assert [one.name for one in (tmp_path / "bucket").iterdir() if one.is_file()] == ["signing.key"]


async def test_a_url_of_another_folder_opens_nothing(tmp_path: Path) -> None:
    ours, theirs = FolderBucket(tmp_path / "ours"), FolderBucket(tmp_path / "theirs")
    (signed,) = await theirs.sign_downloads([Download("outputs/a", 1, "a")], seconds=60)
    parameters = [tuple(one.split("=", 1)) for one in signed.url.partition("?")[2].split("&")]
    given = [(name, value.replace("%2F", "/")) for name, value in parameters]

    assert theirs.verify("GET", "outputs/a", given).generation == 1
    with pytest.raises(InvalidSignature):
        ours.verify("GET", "outputs/a", given)


async def test_a_url_opens_nothing_from_the_second_on_in_which_it_expires(tmp_path: Path) -> None:
    at = datetime(2024, 2, 29, 12, 0, 0, 700_000, tzinfo=UTC)
    bucket = FolderBucket(tmp_path / "bucket", clock=lambda: at)
    (signed,) = await bucket.sign_downloads([Download("outputs/a", 1, "a")], seconds=60)
    parameters = parse_qsl(signed.url.partition("?")[2])

    assert signed.expires_at == datetime(2024, 2, 29, 12, 1, tzinfo=UTC)
    at = signed.expires_at - timedelta(milliseconds=1)
    assert bucket.verify("GET", "outputs/a", parameters).generation == 1
    for late in (timedelta(), timedelta(seconds=1)):
        at = signed.expires_at + late
        with pytest.raises(InvalidSignature, match="The URL has expired"):
            bucket.verify("GET", "outputs/a", parameters)


@pytest.mark.parametrize(
    "parameters",
    [[], [("signature", "")], [("signature", "\ud800")], [("signature", "é"), ("expires", "x")], [("a", "b")]],
)
def test_what_was_never_signed_opens_nothing(tmp_path: Path, parameters: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidSignature):
        FolderBucket(tmp_path / "bucket").verify("GET", "outputs/a", parameters)


async def test_leftovers_of_killed_writers_go_and_those_at_work_stay(tmp_path: Path) -> None:
    bucket = FolderBucket(tmp_path / "bucket")
    for name, age in (("killed", PARTIAL_WRITE_TTL + 60), ("at-work", 5)):
        left = tmp_path / "bucket/partial" / name
        left.mkdir(parents=True)
        (left / "1").write_bytes(b"half")
        for path in (left / "1", left):
            os.utime(path, (time.time() - age, time.time() - age))
    await bucket.write("outputs/a", giving([b"kept"]))

    await bucket.remove_partial_writes()

    assert [one.name for one in (tmp_path / "bucket/partial").iterdir()] == ["at-work"]
    assert await bucket.stat("outputs/a") is not None


async def test_an_object_is_found_again_by_another_process(tmp_path: Path) -> None:
    written = await FolderBucket(tmp_path / "bucket").write("outputs/a", giving([b"kept"]))

    again = FolderBucket(tmp_path / "bucket")

    assert await again.stat("outputs/a") == written
    assert [chunk async for chunk in again.read("outputs/a", written.generation)] == [b"kept"]
