"""Requests that arrive whole take a fast path; clients cannot tell them from those that arrive in pieces."""

import gc
import json
import threading
from collections.abc import Iterator

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from graph.errors import HTTP_ERROR_KEY, HTTPError
from graph.http.complete_request import RawHeaders, take_complete_request
from graph.http.uvicorn_protocol import WebSocketProtocol
from tests.support.connections import SMALL, Answer, Connection, a_post, an_app, open_connection, serve
from tests.support.patience import until, within
from tests.support.running import Running

ANSWER = {"data": {"__typename": "Query"}}
LARGE = 300_000
"""Bytes: more than a connection reads at once, and than a client that reads nothing has room for."""


@pytest.fixture
def connection(faulty_server: Running) -> Iterator[Connection]:
    with open_connection(faulty_server.url) as connection:
        yield connection


def echoing(size: int) -> bytes:
    query = "query($value: JSON!){echo(value:$value)}"
    return json.dumps({"query": query, "variables": {"value": "a" * size}}).encode()


def without_what_varies(answer: Answer) -> tuple[bytes, list[str], dict[str, str], bytes]:
    status, headers, body = answer
    return status, sorted(headers), {**headers, "date": "", "x-request-id": ""}, body


@pytest.mark.parametrize("query", [b'{"query":"{__typename}"}', b'{"query":"{nothing}"}', b"{", b"[]"], ids=repr)
def test_a_request_in_one_piece_and_one_in_many_are_answered_alike(connection: Connection, query: bytes) -> None:
    request = a_post(query)
    connection.write(request)
    at_once = connection.read()

    connection.write_in_pieces(request)

    assert without_what_varies(connection.read()) == without_what_varies(at_once)
    assert {"x-request-id", "date"} <= at_once[1].keys()


def test_requests_sent_without_waiting_are_answered_in_their_order(connection: Connection) -> None:
    bodies = [echoing(size) for size in (1, 2, 70_000, 3, 4)]

    connection.write(b"".join(map(a_post, bodies)))

    answers = [json.loads(connection.read()[2])["data"]["echo"] for _ in bodies]
    assert list(map(len, answers)) == [1, 2, 70_000, 3, 4]


def test_a_request_follows_one_of_another_kind_on_the_same_connection(connection: Connection) -> None:
    connection.write(a_post(SMALL) + b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n" + a_post(SMALL))

    first, second, third = connection.read(), connection.read(), connection.read()

    assert json.loads(first[2]) == json.loads(third[2]) == ANSWER
    assert second[0] == b"HTTP/1.1 200 OK"


def test_a_large_body_and_a_large_answer_pass(connection: Connection) -> None:
    connection.write(a_post(echoing(LARGE)))

    assert json.loads(connection.read()[2]) == {"data": {"echo": "a" * LARGE}}


def test_a_body_in_chunks_is_read(connection: Connection) -> None:
    head = (
        b"POST /graphql HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunks = [SMALL[:5], SMALL[5:]]

    connection.write(head + b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks) + b"0\r\n\r\n")

    assert json.loads(connection.read()[2]) == ANSWER


def test_a_client_that_waits_to_be_told_to_go_on_is_told(connection: Connection) -> None:
    request = a_post(SMALL, "Expect: 100-continue")
    connection.write(request[: -len(SMALL)])

    told = connection.read()
    connection.write(SMALL)

    assert told[0] == b"HTTP/1.1 100 Continue"
    assert json.loads(connection.read()[2]) == ANSWER


@pytest.mark.parametrize("how", [{"version": "1.0"}, {"headers": "Connection: close"}], ids=str)
def test_a_client_that_wants_the_connection_closed_gets_its_answer_first(
    connection: Connection, how: dict[str, str]
) -> None:
    connection.write(a_post(SMALL, *([how["headers"]] if "headers" in how else []), version=how.get("version", "1.1")))

    _, headers, body = connection.read()

    assert json.loads(body) == ANSWER
    assert headers["connection"] == "close"
    assert connection.is_closed()


def test_an_idle_connection_that_was_answered_can_be_used_again(connection: Connection) -> None:
    for _ in range(3):
        connection.write(a_post(SMALL))
        assert json.loads(connection.read()[2]) == ANSWER


def test_what_is_no_request_is_400_also_after_a_good_one(connection: Connection) -> None:
    connection.write(a_post(SMALL))
    connection.read()
    connection.write(b"NONSENSE\r\n\r\n")

    assert connection.read()[0] == b"HTTP/1.1 400 Bad Request"
    assert connection.is_closed()


def test_pages_of_allowed_origins_may_read_what_is_answered_at_once(connection: Connection) -> None:
    connection.write(a_post(SMALL, "Origin: https://lab.example"))

    _, headers, body = connection.read()

    assert headers["access-control-allow-origin"] == "https://lab.example"
    assert headers["x-content-type-options"] == "nosniff"
    assert json.loads(body) == ANSWER


def test_clients_that_leave_before_their_answer_disturb_nobody(faulty_server: Running) -> None:
    failures = faulty_server.log.count("Traceback")
    for _ in range(20):
        leaving = Connection(faulty_server.url)
        leaving.write(a_post(b'{"query":"{slow(seconds:0.2)}"}'))
        leaving.close()

    assert faulty_server.post("{slow(seconds:0.5)}").json() == {"data": {"slow": "done"}}
    assert faulty_server.log.count("Traceback") == failures


async def says_how(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that answers whether it was offered the request whole."""
    complete = take_complete_request(scope)
    if complete and complete.write(b"content-length: 5\r\n", b"whole"):
        return
    while (await receive()).get("more_body"):
        pass
    await PlainTextResponse("parts")(scope, receive, send)


async def waits(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that waits until its client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()


gone = threading.Event()


async def says_short(scope: Scope, receive: Receive, send: Send) -> None:
    """The part of an application that answers alone what comes whole."""
    await PlainTextResponse("short")(scope, receive, send)


class WithFastPath:
    """An application with a part that answers alone what is posted whole to /short, unless a header is against it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (waits if scope["path"] == "/waits" else says_how)(scope, receive, send)

    async def protocol_error_endpoint(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal: HTTPError = scope["extensions"][HTTP_ERROR_KEY]
        await PlainTextResponse(refusal.message, refusal.status)(scope, receive, send)

    def fast_path(self, scope: Scope, headers: RawHeaders) -> ASGIApp | None:
        return says_short if scope["path"] == "/short" and b"x-long" not in headers else None


@pytest.fixture
def telling() -> Iterator[Connection]:
    """A connection to a server of `says_how` and `says_short`."""
    with serve(WithFastPath()) as url, open_connection(url) as connection:
        yield connection


def test_what_comes_whole_is_offered_whole_and_nothing_else(telling: Connection) -> None:
    request = a_post(SMALL)

    telling.write(request)
    at_once = telling.read()
    telling.write_in_pieces(request)
    in_pieces = telling.read()
    telling.write(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
    got = telling.read()
    telling.write(a_post(SMALL, version="1.0"))
    last = telling.read()

    assert [answer[2] for answer in (at_once, in_pieces, got, last)] == [b"whole", b"parts", b"parts", b"parts"]


def test_what_comes_whole_is_answered_by_the_part_that_is_for_it(telling: Connection) -> None:
    short = a_post(SMALL).replace(b"/graphql", b"/short")
    telling.write(short)
    at_once = telling.read()
    telling.write_in_pieces(short)
    in_pieces = telling.read()
    telling.write(a_post(SMALL, "X-Long: yes").replace(b"/graphql", b"/short"))
    against = telling.read()

    assert [answer[2] for answer in (at_once, in_pieces, against)] == [b"short", b"parts", b"whole"]


def test_a_client_that_is_gone_is_noticed_by_the_answer_it_waits_for_though_it_has_asked_more(
    telling: Connection,
) -> None:
    gone.clear()
    telling.write(b"GET /waits HTTP/1.1\r\nHost: here\r\n\r\n" * 3)
    assert telling.is_silent()

    telling.close()

    assert gone.wait(within())


def test_empty_frames_of_a_message_are_not_kept() -> None:
    head = [b"GET /graphql HTTP/1.1", b"Host: here", b"Connection: Upgrade", b"Upgrade: websocket"]
    key = [b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    protocol = b"Sec-WebSocket-Protocol: graphql-transport-ws"
    begins, empty, pings = b"\x01\x81\0\0\0\0{", b"\x00\x80\0\0\0\0", b"\x89\x80\0\0\0\0"
    with serve(an_app()) as url, open_connection(url) as connection:
        connection.write(b"\r\n".join([*head, *key, protocol, b"", b""]))
        assert connection.read()[0] == b"HTTP/1.1 101 Switching Protocols"

        connection.write(begins + empty * 10_000 + pings)
        until(lambda: not connection.is_silent())

        (socket,) = [one for one in gc.get_objects() if type(one) is WebSocketProtocol]
        assert [bytes(frame) for frame in socket.frames] == [b"{"]
