"""Heads of requests: their bounds in size and time, what is refused in them, and how it is answered."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from graph import limits
from graph.errors import HTTPError
from graph.http.connection import HTTPConnection
from graph.http.request_head import check_websocket
from tests.support.connections import SMALL, Connection, a_post, an_app, open_connection, refusal, serve
from tests.support.patience import until, within
from tests.support.running import Running

SMALL_ANSWER = {"data": {"__typename": "Query"}}
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket"
KEY = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="


@pytest.fixture
def connection(faulty_server: Running) -> Iterator[Connection]:
    with open_connection(faulty_server.url) as connection:
        yield connection


def got(path: str = "/livez", *fields: str, host: str = "Host: here", version: str = "1.1") -> bytes:
    lines = [f"GET {path} HTTP/{version}", *([host] if host else []), *fields]
    return "\r\n".join([*lines, "", ""]).encode()


def chunked(chunks: bytes, *fields: str) -> bytes:
    lines = ["POST /graphql HTTP/1.1", "Host: here", "Content-Type: application/json", "Transfer-Encoding: chunked"]
    return "\r\n".join([*lines, *fields, "", ""]).encode() + chunks


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (got("/livez", "X-Much: " + "a" * 66_000), 431),
        (got("/livez", *(f"X-{n}: {'a' * 700}" for n in range(100))), 431),
        (got("/livez", *(f"X-{n}: a" for n in range(201))), 431),
        (got("/livez", "X-Much: " + " " * 200_000), 431),
        (b"GET /livez HTTP/1.1\r\nHost: here\r\nX-Endless: " + b"a" * 200_000, 431),
        (b"GET /livez HTTP/1.1\r\nHost: here\r\nX-Endless" + b"a" * 200_000, 431),
        (got("/graphql?query=" + "a" * 65_536), 414),
        (b"GET /graphql?query=" + b"a" * 200_000, 414),
    ],
    ids=["long", "many long", "many", "spaces", "endless value", "endless name", "address", "endless address"],
)
def test_a_head_beyond_its_bounds_is_refused(connection: Connection, head: bytes, status: int) -> None:
    connection.write(head)

    answer = connection.read()

    assert refusal(answer)[:2] == (status, "LIMIT_EXCEEDED")
    assert answer[1]["connection"] == "close"
    assert connection.is_closed()


def test_addresses_and_fields_up_to_their_bounds_are_taken(connection: Connection) -> None:
    query = "%7B__typename%20" + "%20" * 21_800 + "%7D"

    connection.write(got(f"/graphql?query={query}", *(f"X-{n}: {'a' * 640}" for n in range(100))))

    assert len(query) > 65_000
    assert json.loads(connection.read()[2]) == SMALL_ANSWER


def test_the_bound_of_fields_is_the_same_in_whatever_pieces_they_come(faulty_server: Running) -> None:
    for size, status in ((65_000, 200), (65_536, 431)):
        head = got("/livez", "X-Much: " + "a" * size)
        for cut in (1, 30, 40_000, len(head) - 1):
            with open_connection(faulty_server.url) as connection:
                # The bytes of the request before it, in the same packet, do not count.
                connection.write(got() + head[:cut])
                connection.read()
                connection.write(head[cut:])
                assert int(connection.read()[0].split()[1]) == status


@pytest.mark.parametrize(
    "end",
    [b"0\r\nX-Much: " + b"a" * 200_000, b"0\r\n" + b"X: a\r\n" * 40_000, b"1;" + b"a" * 200_000, b"0" * 200_000],
    ids=["trailer", "trailers", "extension", "zeros"],
)
def test_what_stands_around_the_chunks_of_a_body_is_bounded_too(connection: Connection, end: bytes) -> None:
    connection.write(chunked(chunk(SMALL)))
    connection.write(end)

    assert refusal(connection.read())[0] == 431
    assert connection.is_closed()


def test_fields_after_a_body_are_ignored_whatever_they_say(faulty_server: Running, connection: Connection) -> None:
    whoami = json.dumps({"query": "{viewer{role}}"}).encode()
    trailers = f"Authorization: Bearer {faulty_server.token}\r\nHost: there\r\nExpect: 100-continue\r\n\r\n".encode()

    connection.write(chunked(chunk(whoami) + b"0\r\n" + trailers))
    without = connection.read()
    connection.write(chunked(chunk(whoami) + b"0\r\n" + trailers, f"Authorization: Bearer {faulty_server.token}"))
    with_token = connection.read()

    assert json.loads(without[2]) == {"data": {"viewer": {"role": "ANONYMOUS"}}}
    assert json.loads(with_token[2]) == {"data": {"viewer": {"role": "ADMIN"}}}


@pytest.mark.parametrize(
    ("field", "named"),
    [
        ("Authorization: Bearer one\r\nAuthorization: Bearer two", "Authorization"),
        ("Authorization: Bearer one\r\nauthorization: Bearer one", "Authorization"),
        ("Host: there", "Host"),
        ("Content-Type: text/plain", "Content-Type"),
        ("Origin: https://lab.example\r\nOrigin: https://evil.example", "Origin"),
        (f"Content-Length: {len(SMALL)}", "Content-Length"),
        ("Content-Length: 2", "Content-Length"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding"),
    ],
)
def test_what_may_be_there_once_is_refused_when_it_is_there_twice(
    connection: Connection, field: str, named: str
) -> None:
    connection.write(a_post(SMALL, field))

    status, code, message = refusal(connection.read())

    assert (status, code) == (400, "BAD_REQUEST")
    assert named in message
    assert connection.is_closed()


@pytest.mark.parametrize(
    "request_",
    [
        b"POST /graphql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"POST /graphql HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}",
        b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 2,2\r\n\r\n{}",
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a b\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a/b\r\n\r\n",
        b"GET /livez HTTP/1.0\r\nHost: a,b@c\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: a\r\nX: a\x00\r\n\r\n",
        b"GET /livez HTTP/1.1\nHost: a\n\n",
        b"GET /livez HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET /livez HTTP/0.9\r\n\r\n",
        b"GET /livez\r\n\r\n",
        b"GET http:///livez HTTP/1.1\r\nHost: a\r\n\r\n",
        b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        b"CONNECT /livez HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"NONSENSE\r\n\r\n",
    ],
    ids=lambda request: repr(request[:70]),
)
def test_what_is_no_request_or_could_be_read_in_two_ways_is_400_in_the_form_of_all_errors(
    connection: Connection, request_: bytes
) -> None:
    connection.write(request_)

    assert refusal(connection.read())[:2] == (400, "BAD_REQUEST")
    assert connection.is_closed()


def test_an_older_client_need_not_name_the_server(connection: Connection) -> None:
    connection.write(got(host="", version="1.0"))

    assert connection.read()[0] == b"HTTP/1.1 200 OK"


def test_other_fields_in_several_lines_are_read_as_one(connection: Connection) -> None:
    body = json.dumps({"query": "{hello}"}).encode()

    connection.write(a_post(body, "Accept: application/graphql-response+json", "Accept: application/json;q=0.5"))
    accepted = connection.read()
    connection.write(a_post(body, "Content-Encoding: gzip", "Content-Encoding: identity"))

    assert accepted[1]["content-type"] == "application/graphql-response+json; charset=utf-8"
    assert connection.read()[0] == b"HTTP/1.1 415 Unsupported Media Type"


def test_the_server_that_an_address_names_counts_before_its_host(connection: Connection) -> None:
    connection.write(got("http://there:81/graphql?query=%7Bhello%7D#part"))
    asked = connection.read()
    connection.write(got("http://there"))
    front = connection.read()

    assert json.loads(asked[2]) == {"data": {"hello": "world"}}
    assert front[0] == b"HTTP/1.1 200 OK"


def test_a_refusal_waits_for_the_answers_to_the_requests_before_it(connection: Connection) -> None:
    slow = a_post(json.dumps({"query": "{slow(seconds:0.3)}"}).encode())

    connection.write(slow + a_post(SMALL) + b"NONSENSE\r\n\r\n" + a_post(SMALL))

    assert connection.statuses() == [200, 200, 400]


def test_so_many_requests_may_wait_on_a_connection(connection: Connection) -> None:
    most = limits.MAX_PIPELINED_REQUESTS
    slow = a_post(json.dumps({"query": "{slow(seconds:0.3)}"}).encode())

    connection.write(slow + a_post(SMALL) * (most + 20))

    assert connection.statuses() == [200] * (most + 1) + [429]


def test_a_client_that_sends_on_after_a_refusal_gets_it(faulty_server: Running) -> None:
    for _ in range(5):
        with open_connection(faulty_server.url) as connection:
            connection.write(a_post(SMALL, "Host: there").replace(b"length: ", b"length: 9"))
            for _ in range(50):
                connection.write(b"a" * 100_000)
            assert refusal(connection.read())[0] == 400
            assert connection.is_closed()


def test_a_client_whose_body_is_not_read_gets_its_answer_and_is_told_to_connect_anew(faulty_server: Running) -> None:
    head = a_post(b"a" * 5_000_000)[:-5_000_000]
    with open_connection(faulty_server.url) as connection:
        connection.write(head)
        for _ in range(50):
            connection.write(b"a" * 100_000)
        status, headers, _ = connection.read()

        assert (status, headers["connection"]) == (b"HTTP/1.1 413 Request Entity Too Large", "close")
        assert connection.is_closed()


def test_a_client_that_sends_no_more_gets_its_refusal_and_the_connection_ends_at_once(faulty_server: Running) -> None:
    with socket.create_connection(
        (faulty_server.url.split("/")[2].split(":")[0], int(faulty_server.url.split(":")[2]))
    ) as client:
        client.sendall(b"NONSENSE\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        client.settimeout(limits.HEAD_TIMEOUT)

        assert client.makefile("rb").read().startswith(b"HTTP/1.1 400 Bad Request")


def test_a_body_that_cannot_be_read_is_refused_whether_or_not_its_request_was_begun(faulty_server: Running) -> None:
    for pause in (False, True):
        with open_connection(faulty_server.url) as connection:
            connection.write(chunked(chunk(b'{"query":')))
            if pause:
                assert connection.is_silent()
            connection.write(b"nonsense\r\n")

            assert refusal(connection.read())[:2] == (400, "BAD_REQUEST")
            assert connection.is_closed()


def test_refusals_are_logged_and_counted_like_other_answers(faulty_server: Running) -> None:
    seconds = 'provenance_http_request_seconds_count{path="/graphql",status="400"}'
    refusals = 'provenance_graphql_refusals_total{code="BAD_REQUEST"}'

    def counted(line: str) -> float:
        found = [row for row in faulty_server.get("/metrics").text.splitlines() if row.startswith(line + " ")]
        return float(found[0].split()[-1]) if found else 0.0

    before = counted(seconds), counted(refusals)
    with open_connection(faulty_server.url) as connection:
        connection.write(a_post(SMALL, "X-Request-Id: canary-of-heads", "Host: twice"))
        _, headers, _ = connection.read()

    assert headers["x-request-id"] == "canary-of-heads"
    assert (counted(seconds), counted(refusals)) == (before[0] + 1, before[1] + 1)
    until(lambda: "canary-of-heads" in faulty_server.log)
    (line,) = [line for line in faulty_server.log.splitlines() if "canary-of-heads" in line]
    assert all(said in line for said in ("answered", "POST", "/graphql", "400"))


def test_pages_of_allowed_origins_may_read_refusals(connection: Connection) -> None:
    connection.write(a_post(SMALL, "Origin: https://lab.example", "Host: twice"))

    assert connection.read()[1]["access-control-allow-origin"] == "https://lab.example"


def test_a_post_that_waited_is_begun_though_its_body_comes_later(connection: Connection) -> None:
    slow = a_post(json.dumps({"query": "{slow(seconds:0.2)}"}).encode())
    late = a_post(SMALL)

    connection.write(slow + late[: -len(SMALL)])
    first = connection.read()
    assert connection.is_silent()
    connection.write(SMALL)

    assert first[0] == b"HTTP/1.1 200 OK"
    assert json.loads(connection.read()[2]) == SMALL_ANSWER


def test_a_post_that_waited_is_told_to_go_on(connection: Connection) -> None:
    slow = a_post(json.dumps({"query": "{slow(seconds:0.2)}"}).encode())
    expecting = a_post(SMALL, "Expect: 100-continue")

    connection.write(slow + expecting[: -len(SMALL)])
    first, told = connection.read(), connection.read()
    connection.write(SMALL)

    assert (first[0], told[0]) == (b"HTTP/1.1 200 OK", b"HTTP/1.1 100 Continue")
    assert json.loads(connection.read()[2]) == SMALL_ANSWER


def test_an_older_client_is_not_told_to_go_on(connection: Connection) -> None:
    connection.write_in_pieces(a_post(SMALL, "Expect: 100-continue", version="1.0"))

    assert json.loads(connection.read()[2]) == SMALL_ANSWER


def test_a_client_that_offers_another_protocol_goes_on_with_this_one(connection: Connection) -> None:
    offering = got("/livez", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")

    connection.write(offering * 3 + a_post(SMALL, "Connection: Upgrade", "Upgrade: h2c") + got())

    assert [connection.read()[0] for _ in range(5)] == [b"HTTP/1.1 200 OK"] * 5


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_the_body_of_a_request_that_offers_another_protocol_is_no_request(
    connection: Connection, version: str, protocol: str
) -> None:
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: of a proxy\r\n\r\n"
    request = a_post(smuggled, f"Connection: Upgrade\r\nUpgrade: {protocol}", version=version)

    connection.write(request[: -len(smuggled)])
    connection.is_silent()
    connection.write(smuggled)

    refused = b"405 Method Not Allowed" if (protocol, version) == ("websocket", "1.1") else b"400 Bad Request"
    assert connection.read()[0] == b"HTTP/1.1 " + refused
    assert connection.is_silent() or connection.is_closed()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (got("/graphql", UPGRADE), 426),
        (got("/graphql", UPGRADE, "Sec-WebSocket-Version: 12"), 426),
        (got("/graphql", UPGRADE, "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: short"), 400),
        (got("/graphql", UPGRADE, KEY, "Sec-WebSocket-Version: 13"), 400),
        (got("/graphql", UPGRADE, KEY, "Host: twice"), 400),
        (got("/graphql", UPGRADE, KEY, "Authorization: a", "Authorization: b"), 400),
        (got("/graphql", UPGRADE, KEY, "Content-Length: 5"), 400),
        (got("/graphql?" + "a" * 9_000, UPGRADE, KEY), 414),
        (got("/graphql", UPGRADE, KEY, "X-Much: " + "a" * 9_000), 431),
        (got("/graphql", UPGRADE, KEY, *(f"X-{n}: a" for n in range(130))), 431),
        (got("/graphql", UPGRADE, KEY).replace(b"GET", b"PUT"), 405),
        (got("/graphql", UPGRADE, KEY) + b"\x81\x80abcd", 400),
        (a_post(b'{"query":"{slow(seconds:0.3)}"}') + got("/graphql", UPGRADE, KEY), 400),
    ],
    ids=lambda value: repr(value[-60:]) if isinstance(value, bytes) else str(value),
)
def test_requests_for_websockets_are_held_to_the_same(connection: Connection, head: bytes, status: int) -> None:
    connection.write(head)
    if head.startswith(b"POST"):
        assert connection.read()[0] == b"HTTP/1.1 200 OK"

    code = "LIMIT_EXCEEDED" if status in (414, 431) else "BAD_REQUEST"
    assert refusal(connection.read())[:2] == (status, code)
    assert connection.is_closed()


WEBSOCKET = {b"sec-websocket-version": b"13", b"sec-websocket-key": b"dGhlIHNhbXBsZSBub25jZQ=="}
BOUNDS = "A WebSocket request may have at most 128 header fields of 8,192 bytes."


@pytest.mark.parametrize(
    ("method", "address", "fields", "message", "headers"),
    [
        ("PUT", b"/", {}, "A WebSocket is opened with GET.", {"Allow": "GET"}),
        ("GET", b"/", {b"content-length": b"10"}, "A WebSocket request must not have a body.", {}),
        ("GET", b"/", {b"transfer-encoding": b"chunked"}, "A WebSocket request must not have a body.", {}),
        ("GET", b"/" * 8_173, {}, "An address has at most 8,172 bytes; send longer requests with POST.", {}),
        ("GET", b"/", {b"x": b"a" * 8_188}, BOUNDS, {}),
        ("GET", b"/", {b"%d" % number: b"" for number in range(127)}, BOUNDS, {}),
        (
            *("GET", b"/", {b"sec-websocket-version": b"12"}, "Sec-WebSocket-Version must be 13."),
            {"Sec-WebSocket-Version": "13", "Upgrade": "websocket"},
        ),
        ("GET", b"/", {b"sec-websocket-key": b"bm9uY2U="}, "Sec-WebSocket-Key must be 16 bytes in base64.", {}),
    ],
)
def test_a_websocket_is_refused_with_the_reason_and_what_to_send(
    method: str, address: bytes, fields: dict[bytes, bytes], message: str, headers: dict[str, str]
) -> None:
    with pytest.raises(HTTPError) as refused:
        check_websocket(method, address, WEBSOCKET | fields)

    assert (refused.value.message, refused.value.headers) == (message, headers)


def test_requests_for_websockets_up_to_their_bounds_are_taken() -> None:
    check_websocket("GET", b"/" * 8_172, WEBSOCKET | {b"x": b"a" * 8_187, b"content-length": b"00"})
    check_websocket("GET", b"/", WEBSOCKET | {b"%d" % number: b"" for number in range(126)})


@pytest.mark.parametrize(
    ("path", "field", "status"),
    [
        ("/graphql", "Origin: https://evil.example", 403),
        ("/nowhere", "Origin: https://lab.example", 403),
        ("/graphql", "Sec-WebSocket-Protocol: ,;", 400),
    ],
)
def test_a_websocket_that_is_not_opened_is_refused_in_the_form_of_all_errors(
    connection: Connection, path: str, field: str, status: int
) -> None:
    connection.write(got(path, UPGRADE, KEY, field))

    line, headers, body = connection.read()

    assert int(line.split()[1]) == status
    assert (headers["content-type"], headers["cache-control"]) == ("application/json; charset=utf-8", "no-store")
    assert json.loads(body)["errors"][0]["extensions"] == {"code": "BAD_REQUEST"}
    assert connection.is_closed()


def test_a_websocket_opens_though_its_head_comes_in_pieces(connection: Connection) -> None:
    connection.write_in_pieces(got("/graphql", UPGRADE, KEY, "Sec-WebSocket-Protocol: graphql-transport-ws"))

    assert connection.read()[0] == b"HTTP/1.1 101 Switching Protocols"


class Waiting:
    """A server that waits long for heads, until a test says otherwise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.url = ""
        self.made: list[HTTPConnection] = []
        self._monkeypatch = monkeypatch
        self.wait(within())
        begin = HTTPConnection.connection_made

        def connection_made(connection: HTTPConnection, transport: Any) -> None:
            begin(connection, transport)
            self.made.append(connection)

        monkeypatch.setattr(HTTPConnection, "connection_made", connection_made)

    def wait(self, seconds: float) -> None:
        """Give heads that begin, and clients that connect, so much time from now on."""
        self._monkeypatch.setattr(limits, "HEAD_TIMEOUT", seconds)

    def accept(self) -> HTTPConnection:
        """The one connection, once the server has it. Its own time was begun before."""
        return until(lambda: self.made)[0]


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiting]:
    made = Waiting(monkeypatch)
    with serve(an_app()) as made.url:
        yield made


@pytest.mark.parametrize("before", [b"", got(), a_post(SMALL)], ids=["nothing", "a GET", "a POST"])
@pytest.mark.parametrize("begun", [b"P", a_post(SMALL)[:40]])
def test_a_head_that_does_not_end_in_time_is_told_so(waiting: Waiting, before: bytes, begun: bytes) -> None:
    with open_connection(waiting.url) as connection:
        waiting.accept()
        waiting.wait(0.3)
        connection.write(before + begun)
        if before:
            assert connection.read()[0] == b"HTTP/1.1 200 OK"

        status, _, message = refusal(connection.read())

        assert (status, message) == (408, "The head of the request did not arrive within 0.3 s.")
        assert connection.is_closed()


def test_a_head_that_trickles_in_has_no_more_time_than_others(waiting: Waiting) -> None:
    with open_connection(waiting.url) as connection:
        waiting.accept()
        waiting.wait(0.8)
        connection.write(got()[:-2] + b"X-Slow: ")

        def told() -> bool:
            answered = not connection.is_silent()
            if not answered:
                connection.write(b"a")
            return answered

        until(told)
        assert refusal(connection.read())[0] == 408


@pytest.mark.parametrize("sent", [b"", b"\r\n"], ids=["nothing", "empty lines"])
def test_who_connects_and_asks_nothing_is_disconnected_without_an_answer(waiting: Waiting, sent: bytes) -> None:
    waiting.wait(0.3)
    with open_connection(waiting.url) as connection:
        for _ in range(200):
            if not connection.is_silent():
                break
            try:
                connection.write(sent)
            except OSError:
                break

        try:
            assert connection.is_closed()
        except ConnectionResetError:
            assert sent


def test_empty_lines_without_end_are_not_read(waiting: Waiting) -> None:
    with open_connection(waiting.url) as connection:
        connection.write(a_post(SMALL) + b"\r\n")
        assert json.loads(connection.read()[2]) == SMALL_ANSWER

        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            connection.write(b"\r\n" * 10_000_000)


def test_a_body_has_time_of_its_own(waiting: Waiting) -> None:
    with open_connection(waiting.url) as connection:
        waiting.accept()
        waiting.wait(0.2)
        connection.write(a_post(SMALL)[:-1])
        # Longer than a head has, which has come: with it ends its time.
        time.sleep(0.4)
        connection.write(SMALL[-1:])

        assert json.loads(connection.read()[2]) == SMALL_ANSWER


def test_a_head_in_time_in_pieces_is_answered_and_the_connection_goes_on(waiting: Waiting) -> None:
    with open_connection(waiting.url) as connection:
        for _ in range(3):
            connection.write_in_pieces(got())
            assert connection.read()[0] == b"HTTP/1.1 200 OK"
        assert waiting.accept()._head_timer is None
        waiting.wait(0.2)
        time.sleep(0.4)
        connection.write(got())

        assert connection.read()[0] == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("path", ["/", "/graphql?query=%7Bhello%7D", "/graphql", "/livez", "/readyz", "/nowhere"])
@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_head_is_answered_as_get_without_its_body(faulty_server: Running, path: str, accept: str) -> None:
    answers = [
        faulty_server.client.request(method, faulty_server.url + path, headers={"accept": accept})
        for method in ("GET", "HEAD")
    ]

    varying = {"date", "x-request-id", "content-security-policy"}
    get, head = ({name: value for name, value in one.headers.items() if name not in varying} for one in answers)
    assert answers[0].status_code == answers[1].status_code
    assert get == head
    assert (bool(answers[0].content), answers[1].content) == (True, b"")


def test_head_runs_no_mutation(faulty_server: Running) -> None:
    touched = faulty_server.log.count("touched")

    response = faulty_server.client.head(f"{faulty_server.url}/graphql", params={"query": "mutation{touch}"})

    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert faulty_server.log.count("touched") == touched


def test_a_parameter_of_the_address_is_there_once(faulty_server: Running) -> None:
    response = faulty_server.get("/graphql?query=%7Bhello%7D&query=%7B__typename%7D")

    assert (response.status_code, response.json()["errors"][0]["extensions"]["code"]) == (400, "BAD_REQUEST")
