"""With the bucket full, what writes bytes is answered 507 with the reason; all else goes on."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from tests.graph.http.test_bucket_objects import announced, put
from tests.support.galaxies import Galaxy, a_report
from tests.support.running import COMMAND, Running, on_database, running

MAX_FILE_BYTES = 300_000
"""Bytes of the largest file that the server may write, in the place of a full disk."""
FULL = "The bucket is full: File too large."


@pytest.fixture
def full(mongod: EmbeddedMongo, tmp_path: Path) -> Iterator[Running]:
    """A server whose files may not grow."""
    limits = {resource.RLIMIT_FSIZE: (MAX_FILE_BYTES, MAX_FILE_BYTES)}
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] in (resource.RLIM_INFINITY, MAX_FILE_BYTES)
    env = on_database(mongod.uri, "insufficient")
    with running(*COMMAND, "serve", env=env, directory=tmp_path, limits=limits) as server:
        yield server


def bytes_in(server: Running) -> list[Path]:
    """The files of the bucket, those that are being written among them."""
    bucket = server.directory / "data/bucket"
    return [one for one in bucket.rglob("*") if one.is_file() and one.name != "signing.key"]


def test_an_upload_that_does_not_fit_is_refused_with_the_reason_and_leaves_nothing(full: Running) -> None:
    large, small = bytes(3 * MAX_FILE_BYTES), b"fits"
    too_large, fitting = announced(full, large), announced(full, small)

    refused = put(full, too_large, large)
    left = bytes_in(full)
    again = put(full, too_large, iter([large[:MAX_FILE_BYTES], large[MAX_FILE_BYTES:]]))
    taken = put(full, fitting, small)

    error = {"message": FULL, "extensions": {"code": "INSUFFICIENT_STORAGE"}}
    assert [(answer.status_code, answer.json()) for answer in (refused, again)] == [(507, {"errors": [error]})] * 2
    assert "retry-after" in refused.headers
    assert left == []
    assert taken.status_code == 201
    assert [one.read_bytes() for one in bytes_in(full)] == [small]
    assert "Traceback" not in full.log
    assert FULL in full.log


def test_a_report_that_does_not_fit_is_refused_with_the_reason_and_can_be_sent_again(full: Running) -> None:
    galaxy = Galaxy.new(full)
    before = bytes_in(full)

    refused = galaxy.upload(bytes(3 * MAX_FILE_BYTES))
    kept, left = galaxy.archives(), bytes_in(full)
    taken = galaxy.upload(a_report("1\t2"))

    assert (refused.status_code, refused.json()) == (507, {"state": "error", "message": FULL})
    assert "retry-after" in refused.headers
    assert (kept, left) == ([], before)
    assert taken.status_code in (200, 202)
    assert len(galaxy.archives()) == 1
    assert "Traceback" not in full.log
