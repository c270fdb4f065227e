"""Bodies that are no reports, or too much of one: refused in words, and nothing is left of them."""

import hashlib
import re
import select
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from graph.errors import HTTPError
from graph.http import galaxy_reports
from graph.http import request as requests
from tests.support.connections import open_connection
from tests.support.galaxies import BOUNDARY, Galaxy, a_report, form, metadata, multipart
from tests.support.patience import until, within
from tests.support.running import Running
from tests.support.storage import serve


@pytest.fixture
def galaxy(server: Running) -> Galaxy:
    return Galaxy.new(server)


def parts(**fields: Any) -> list[tuple[str, bytes]]:
    content = b"hostile bytes"
    whole = {"identifier": b"1.5", "meta": metadata("1.5", content), "data": content} | fields
    return [(f'name="{name}"', value) for name, value in whole.items() if value is not None]


HOSTILE: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "no multipart": (b"identifier=1.5", 400),
    "no end": (multipart(parts())[:-20], 400),
    "another boundary": (multipart(parts(), "another"), 400),
    "no identifier": (multipart(parts(identifier=None)), 400),
    "no meta": (multipart(parts(meta=None)), 400),
    "no data": (multipart(parts(data=None)), 400),
    "data twice": (multipart([*parts(), ('name="data"', b"hostile bytes")]), 400),
    "meta twice": (multipart([*parts(data=None), *parts(identifier=None)]), 400),
    "another field": (multipart([*parts(), ('name="extra"', b"")]), 400),
    "two names": (
        multipart([*parts(data=None), ('name="data"\r\nContent-Disposition: form-data; name="extra"', b"")]),
        400,
    ),
    "no name": (multipart([("filename=x", b""), *parts()]), 400),
    "a traversal": (multipart(parts(identifier=b"../../etc/passwd")), 400),
    "an empty identifier": (multipart(parts(identifier=b"")), 400),
    "a long identifier": (multipart(parts(identifier=b"1" * 101)), 413),
    "an identifier of lines": (multipart(parts(identifier=b"1\n2")), 400),
    "an identifier that is no text": (multipart(parts(identifier=b"\xff")), 400),
    "large metadata": (multipart(parts(meta=b"{" + b" " * 1_000_000 + b"}")), 413),
    "deep metadata": (multipart(parts(meta=b'{"a":' * 100_000)), 400),
    "NaN in metadata": (multipart(parts(meta=b'{"version": NaN}')), 400),
    "a number without end": (multipart(parts(meta=b'{"version": ' + b"9" * 10_000 + b"}")), 400),
    "a list as metadata": (multipart(parts(meta=b"[]")), 400),
    "metadata that are no text": (multipart(parts(meta=b"\xff\xfe")), 400),
    "another algorithm": (multipart(parts(meta=metadata("1.5", b"", report_hash="md5:" + "0" * 32))), 400),
    "an endless header": (b"--" + BOUNDARY.encode() + b"\r\nX: " + b"y" * 100_000, 400),
    "many headers": (b"--" + BOUNDARY.encode() + b"\r\n" + b"X: y\r\n" * 1000, 400),
    "a thousand parts": (multipart([('name="a"', b"")] * 1000), 400),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_body_is_refused_with_json_and_leaves_nothing(galaxy: Galaxy, name: str) -> None:
    body, status = HOSTILE[name]
    before = galaxy.objects()

    refused = galaxy.post(body)

    assert refused.status_code == status, refused.text
    assert refused.json()["state"] == "error"
    assert len(refused.json()["message"]) < 500
    assert galaxy.archives() == []
    assert galaxy.objects() == before
    assert galaxy.whoami().status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 400),
        ({"Content-Type": "multipart/form-data"}, 400),
        ({"Content-Type": f"multipart/form-data; boundary={'x' * 300}"}, 400),
        ({"Content-Encoding": "gzip"}, 415),
    ],
)
def test_a_body_in_another_form_is_refused(galaxy: Galaxy, headers: dict[str, str], status: int) -> None:
    answer = galaxy.post(multipart(parts()), **headers)

    assert answer.status_code == status
    assert answer.headers.get("accept-encoding") == ("identity" if status == 415 else None)


def raw(server: Running) -> socket.socket:
    url = urlsplit(server.url)
    return socket.create_connection((url.hostname, url.port), timeout=within())


def head(galaxy: Galaxy, length: int) -> bytes:
    return (
        f"POST /api/v2/upload HTTP/1.1\r\nHost: a\r\nAUTHORIZATION: {galaxy.uuid}:{galaxy.key}\r\n"
        f"Content-Length: {length}\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
    ).encode()


def test_more_than_a_report_may_hold_is_refused_before_it_is_sent(galaxy: Galaxy) -> None:
    with raw(galaxy.server) as connection:
        connection.sendall(head(galaxy, 11_000_000_000) + b"x")
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answer == b"" or b" 413 " in answer.split(b"\r\n")[0]
    assert galaxy.archives() == []


def test_a_connection_that_breaks_leaves_nothing(galaxy: Galaxy) -> None:
    content = a_report() * 100
    body = form("1.5", metadata("1.5", content), content)
    before = galaxy.objects()

    with raw(galaxy.server) as broken:
        broken.sendall(head(galaxy, len(body)) + body[:-5000])
        until(lambda: list((galaxy.server.directory / "data/bucket/partial").iterdir()))

    until(lambda: not list((galaxy.server.directory / "data/bucket/partial").iterdir()))
    assert galaxy.objects() == before
    assert galaxy.archives() == []


def test_a_large_report_passes_through_without_being_held(galaxy: Galaxy) -> None:
    piece = bytes(range(256)) * 4096
    digest, pieces = hashlib.sha256(), 150
    for _ in range(pieces):
        digest.update(piece)
    said = metadata("1.5", b"", report_hash=f"sha256:{digest.hexdigest()}", generated="1.5")
    before, _, after = multipart([*parts(meta=said, data=None), ('name="data"', b"<data>")]).partition(b"<data>")
    memory = resident(galaxy.server.process.pid)

    sent = galaxy.post(_pieces(before, piece, pieces, after))

    assert sent.status_code == 200, sent.text
    assert sent.json()["archive"]["sha256"] == digest.hexdigest()
    assert resident(galaxy.server.process.pid) - memory < 60_000


def _pieces(before: bytes, piece: bytes, pieces: int, after: bytes) -> Any:
    yield before
    for _ in range(pieces):
        yield piece
    yield after


def resident(pid: int) -> int:
    """Kilobytes that a process has had in memory at most."""
    high = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert high
    return int(high[1])


def trickles(connection: socket.socket, *, silent: bool) -> bool:
    """Send a byte, or none, every tenth of a second; whether there is an answer."""
    answered, _, _ = select.select([connection], [], [], 0.1)
    if not answered and not silent:
        connection.sendall(b"x")
    return bool(answered)


@pytest.mark.parametrize(("quiet", "grace"), [(0.2, 60.0), (30.0, 0.2)], ids=["silence", "a trickle"])
def test_a_body_that_comes_too_slowly_is_given_up(monkeypatch: pytest.MonkeyPatch, quiet: float, grace: float) -> None:
    monkeypatch.setattr(requests, "BODY_TIMEOUT", quiet)
    monkeypatch.setattr(galaxy_reports, "GRACE_PERIOD", grace)

    async def read(request: Request) -> Response:
        try:
            return Response(b"".join([chunk async for chunk in galaxy_reports.stream_upload(request)]))
        except HTTPError as refused:
            return Response(refused.message, refused.status, {"Connection": "close"})

    with serve(Starlette(routes=[Route("/", read, methods=["POST"])])) as url:
        with open_connection(url) as connection:
            # In one piece, between whose bytes no time can pass.
            connection.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nall of it")
            quick, _, body = connection.read()
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port), timeout=within()) as slow:
            slow.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
            until(lambda: trickles(slow, silent=quiet < 1))
            answer = slow.recv(65536)

    assert (quick, body) == (b"HTTP/1.1 200 OK", b"all of it")
    assert answer.startswith(b"HTTP/1.1 408 ")
