"""Bodies that are packed with gzip, and those that begin with a byte order mark."""

import gzip
import json
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from graph.limits import MAX_BODY_BYTES
from tests.support.patience import cpu, until
from tests.support.running import Running

HELLO = b'{"query":"{hello}"}'
WORLD = {"data": {"hello": "world"}}
PACKED = gzip.compress(HELLO, mtime=0)


def send(faulty_server: Running, body: Any, encoding: str = "gzip", **headers: str) -> httpx2.Response:
    return faulty_server.send(body, **{"content-encoding": encoding, **headers})


def error(response: httpx2.Response) -> tuple[int, str, str]:
    (told,) = response.json()["errors"]
    return response.status_code, told["extensions"]["code"], told["message"]


def padded(size: int) -> bytes:
    """A request whose body has so many bytes."""
    return HELLO + b" " * (size - len(HELLO))


def in_pieces(body: bytes) -> Iterator[bytes]:
    yield body[:5]
    time.sleep(0.05)
    yield body[5:]


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZip"])
def test_a_packed_body_is_unpacked(faulty_server: Running, encoding: str) -> None:
    assert send(faulty_server, PACKED, encoding).json() == WORLD


def test_a_packed_body_may_come_in_pieces(faulty_server: Running) -> None:
    assert send(faulty_server, in_pieces(PACKED)).json() == WORLD


def test_a_body_as_it_is_may_say_so(faulty_server: Running) -> None:
    assert [send(faulty_server, HELLO, encoding).json() for encoding in ("identity", "Identity", "")] == [WORLD] * 3


def test_a_body_may_be_as_large_unpacked_as_one_that_is_not_packed(faulty_server: Running) -> None:
    assert send(faulty_server, gzip.compress(padded(MAX_BODY_BYTES))).json() == WORLD


@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 50_000_000])
def test_what_is_too_large_unpacked_is_refused_as_soon_as_it_is(faulty_server: Running, size: int) -> None:
    packed = gzip.compress(padded(size))
    before = faulty_server.cpu()

    for body in (packed, in_pieces(packed)):
        assert error(send(faulty_server, body)) == (
            413,
            "LIMIT_EXCEEDED",
            "The body is larger than 1,000,000 bytes when decompressed.",
        )

    took = faulty_server.cpu() - before
    assert took < cpu(0.1)


def test_what_is_too_large_packed_is_refused_too(faulty_server: Running) -> None:
    empty_blocks = b"\x00\x00\x00\xff\xff" * 250_000

    assert error(send(faulty_server, PACKED[:10] + empty_blocks)) == (
        413,
        "LIMIT_EXCEEDED",
        "The body is larger than 1,000,000 bytes.",
    )


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (HELLO, "The body is not gzip: Error -3 while decompressing data: incorrect header check."),
        (zlib.compress(HELLO), "The body is not gzip: Error -3 while decompressing data: incorrect header check."),
        (PACKED[:-1], "The body ends before its gzip does."),
        (b"", "The body ends before its gzip does."),
        (PACKED[:-8] + bytes(8), "The body is not gzip: Error -3 while decompressing data: incorrect data check."),
        (PACKED + PACKED, "The body goes on after the end of its gzip; send one member."),
        (gzip.compress(b"{", mtime=0), None),
        (gzip.compress(PACKED, mtime=0), None),
    ],
    ids=["plain", "zlib", "cut", "empty", "wrong sum", "two members", "no JSON", "packed twice"],
)
def test_what_is_no_packed_request_is_400(faulty_server: Running, body: bytes, told: str | None) -> None:
    status, code, message = error(send(faulty_server, body))

    assert (status, code) == (400, "BAD_REQUEST")
    assert told in (None, message)


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "x" * 1000])
def test_other_encodings_are_415_with_what_is_taken(faulty_server: Running, encoding: str) -> None:
    response = send(faulty_server, PACKED, encoding)

    assert error(response)[:2] == (415, "BAD_REQUEST")
    assert encoding[:50] in response.json()["errors"][0]["message"]
    assert response.headers["accept-encoding"] == "gzip, identity"


def test_many_packed_bodies_of_anonymous_callers_delay_nobody(faulty_server: Running) -> None:
    packed = gzip.compress(padded(MAX_BODY_BYTES))
    signed_in = {"authorization": f"Bearer {faulty_server.token}"}

    answers: list[httpx2.Response] = []
    with ThreadPoolExecutor(8) as clients:

        def asked() -> list[httpx2.Response]:
            answers.extend(clients.map(lambda _: send(faulty_server, packed), range(100)))
            return [answer for answer in answers if answer.status_code == 503]

        refused = until(asked)
    known, plain = send(faulty_server, packed, **signed_in), faulty_server.send(HELLO)

    assert {answer.status_code for answer in answers} <= {200, 503}
    assert {error(answer)[1] for answer in refused} == {"OVERLOADED"}
    assert (known.json(), plain.json()) == (WORLD, WORLD)
    until(lambda: send(faulty_server, PACKED).status_code == 200, shown=lambda: "Packed bodies are refused for ever.")


@pytest.mark.parametrize("packed", [False, True])
def test_a_byte_order_mark_before_a_body_is_skipped(faulty_server: Running, packed: bool) -> None:
    body = b"\xef\xbb\xbf" + HELLO

    response = send(faulty_server, gzip.compress(body)) if packed else faulty_server.send(body)

    assert response.json() == WORLD


def test_a_byte_order_mark_before_a_document_or_variables_is_skipped(faulty_server: Running) -> None:
    asked = {"query": "\ufeffquery($n:Int!){number(value:$n)}", "variables": '\ufeff{"n":3}'}

    posted = faulty_server.send(json.dumps({"query": "\ufeff{hello}"}))
    got = faulty_server.get("/graphql", params=asked)

    assert (posted.json(), got.json()) == (WORLD, {"data": {"number": 3}})


@pytest.mark.parametrize("body", [b"\xef\xbb\xbf" * 2 + HELLO, b"\xef\xbb\xbf", b"\xef\xbb\xbf" * 300_000])
def test_only_one_byte_order_mark_is_skipped(faulty_server: Running, body: bytes) -> None:
    status, code, message = error(faulty_server.send(body))

    assert (status, code) == (400, "BAD_REQUEST")
    assert message.startswith("The body is not JSON")
