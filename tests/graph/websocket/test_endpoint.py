"""Subscriptions over WebSocket: one protocol, the same limits and the same masking as over HTTP."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.support.connections import open_connection as connected
from tests.support.patience import within
from tests.support.running import Running

PROTOCOL = "graphql-transport-ws"
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket"
KEY = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
CLOSE_FRAME = b"\x88\x82\0\0\0\0\x03\xe8"
NO_TEXT = b"\x81\x81\0\0\0\0\xff"
HELD = '{held(path: "/nowhere/at/all")}'


def a_frame(message: dict[str, Any]) -> bytes:
    """A message of a client, masked by nothing."""
    data = json.dumps(message).encode()
    return b"\x81\xfe%b\0\0\0\0%b" % (len(data).to_bytes(2), data)


def opened(faulty_server: Running, *, protocol: str = PROTOCOL, **options: Any) -> ClientConnection:
    address = faulty_server.url.replace("http", "ws") + "/graphql"
    return connect(address, subprotocols=[protocol], proxy=None, open_timeout=within(30), **options)  # type: ignore[list-item]


@contextmanager
def introduced(faulty_server: Running, payload: Any = None, **options: Any) -> Iterator[ClientConnection]:
    """A socket whose client has said who it is."""
    with opened(faulty_server, **options) as socket:
        socket.send(json.dumps({"type": "connection_init"} | ({} if payload is None else {"payload": payload})))
        yield socket


def answers(socket: ClientConnection, query: str, id: str = "1") -> list[dict[str, Any]]:
    """Every message about one operation of a client that was let in."""
    messages: list[dict[str, Any]] = []
    socket.send(json.dumps({"id": id, "type": "subscribe", "payload": {"query": query}}))
    while not messages or messages[-1]["type"] not in ("complete", "error"):
        messages.append(json.loads(socket.recv(within(30))))
    return messages


def asked(faulty_server: Running, query: str, payload: Any = None, **options: Any) -> list[dict[str, Any]]:
    """Every message about one operation, asked on a socket of its own."""
    with introduced(faulty_server, payload, **options) as socket:
        assert json.loads(socket.recv(within(30))) == {"type": "connection_ack"}
        return answers(socket, query)


def closed_with(socket: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed):
        socket.recv(within(30))
    assert socket.close_code is not None
    return socket.close_code


def test_a_subscription_delivers_its_values_and_ends(faulty_server: Running) -> None:
    messages = asked(faulty_server, "subscription{count(to:2)}")

    assert [message.get("payload") for message in messages] == [{"data": {"count": 0}}, {"data": {"count": 1}}, None]


def test_the_older_protocol_is_not_spoken(faulty_server: Running) -> None:
    with opened(faulty_server, protocol="graphql-ws") as socket:
        assert closed_with(socket) == 4406


def test_nothing_is_answered_before_the_client_has_introduced_itself(faulty_server: Running) -> None:
    with opened(faulty_server) as socket:
        socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": "{hello}"}}))
        assert closed_with(socket) == 4401


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("[]", "The message is not an object."),
        ("{", "The message is not JSON."),
        ("[" * 50_000, "The message is not JSON."),
        ('{"type":"subscribe","id":{},"payload":"x"}', "The id of the message is not a valid Unicode string."),
        (r'{"type":"complete","id":"a\udc00"}', "The id of the message is not a valid Unicode string."),
        ('{"type":"subscribe","id":"1"}', "The payload of the message is not a request: its query is a string."),
        ('{"type":"connection_init","payload":[]}', "Invalid connection init payload"),
    ],
)
def test_a_frame_that_is_no_message_closes_the_socket_with_the_reason(
    faulty_server: Running, frame: str, reason: str
) -> None:
    with opened(faulty_server) as socket:
        socket.send(frame)
        assert closed_with(socket) == 4400
        assert socket.close_reason == reason


def test_a_client_may_introduce_itself_with_null(faulty_server: Running) -> None:
    with opened(faulty_server) as socket:
        socket.send('{"type":"connection_init","payload":null}')
        assert json.loads(socket.recv(within(30))) == {"type": "connection_ack"}


@pytest.mark.parametrize("id", ["", "\0", "é", "\N{GRINNING FACE}"])
def test_an_id_may_be_any_text(faulty_server: Running, id: str) -> None:
    with introduced(faulty_server) as socket:
        socket.recv(within(30))
        assert [message["id"] for message in answers(socket, "{hello}", id)] == [id, id]


@pytest.mark.parametrize("query", ["{hello}", "query One{hello}", "subscription{count(to:1)}"])
@pytest.mark.parametrize("name", ["", None])
def test_an_empty_operation_name_is_none(faulty_server: Running, query: str, name: str | None) -> None:
    with introduced(faulty_server) as socket:
        socket.recv(within(30))
        payload = {"query": query, "operationName": name}
        socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        assert json.loads(socket.recv(within(30)))["type"] == "next"


def test_a_message_that_is_no_text_closes_the_socket_without_a_traceback(faulty_server: Running) -> None:
    before = faulty_server.log.count("Traceback")
    with introduced(faulty_server) as socket:
        assert json.loads(socket.recv(within(30))) == {"type": "connection_ack"}
        socket.send(b"\xff\xfe", text=True)
        assert closed_with(socket) == 1007

    assert faulty_server.log.count("Traceback") == before


@pytest.mark.parametrize("then", [b"", CLOSE_FRAME, NO_TEXT])
@pytest.mark.parametrize(
    "messages",
    [
        [{"type": "connection_init", "payload": {"Authorization": "Bearer nothing"}}],
        [{"type": "nothing"}],
        [{"type": "x" * 300}],
        [{"type": "\ud800"}],
        [{"type": "connection_init"}, {"type": "subscribe", "id": "\ud800", "payload": {"query": "{hello}"}}],
        [{"type": "connection_init"}, *[{"type": "subscribe", "id": "x" * 200, "payload": {"query": HELD}}] * 2],
    ],
)
def test_nothing_that_ends_a_socket_leaves_a_traceback(
    faulty_server: Running, messages: list[dict[str, Any]], then: bytes
) -> None:
    before = faulty_server.log.count("Traceback")
    head = ["GET /graphql HTTP/1.1", "Host: here", UPGRADE, KEY, f"Sec-WebSocket-Protocol: {PROTOCOL}", "", ""]
    with connected(faulty_server.url) as connection:
        connection.write("\r\n".join(head).encode())
        assert connection.read()[0] == b"HTTP/1.1 101 Switching Protocols"

        connection.write(b"".join(map(a_frame, messages)) + then)

        connection.read_until(b"\x88")
    assert faulty_server.post("{hello}").status_code == 200
    assert faulty_server.log.count("Traceback") == before


def test_a_message_may_come_in_many_frames_of_which_some_are_empty(faulty_server: Running) -> None:
    with opened(faulty_server) as socket:
        socket.send(["", '{"type":', *[""] * 50, '"connection_init"', "", "}", ""])
        assert json.loads(socket.recv(within(30))) == {"type": "connection_ack"}


def test_answers_and_deliveries_are_counted_by_operation(faulty_server: Running) -> None:
    asked(faulty_server, "query OfSocket{hello}")
    asked(faulty_server, "query OfSocket{missing}")
    asked(faulty_server, "query OfSocket($n:Int!){number(value:$n)}")
    asked(faulty_server, "subscription OfRole{role}", {"Authorization": f"Bearer {faulty_server.token}"})

    lines = faulty_server.get("/metrics").text.splitlines()
    counted = sorted(
        line.partition("{")[2]
        for line in lines
        if line.startswith("provenance_graphql_operation_answers_total{") and 'operation="Of' in line
    )
    assert counted == [
        'code="",kind="query",operation="OfSocket",role="anonymous"} 1.0',
        'code="",kind="subscription",operation="OfRole",role="admin"} 1.0',
        'code="BAD_USER_INPUT",kind="query",operation="OfSocket",role="anonymous"} 1.0',
        'code="NOT_FOUND",kind="query",operation="OfSocket",role="anonymous"} 1.0',
    ]


def test_pages_of_other_origins_are_refused(faulty_server: Running) -> None:
    with opened(faulty_server, origin="https://lab.example"):
        pass
    with pytest.raises(InvalidStatus) as refused, opened(faulty_server, origin="https://evil.example"):
        pass

    assert refused.value.response.status_code == 403


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
def test_the_token_of_a_client_is_taken_from_its_introduction(faulty_server: Running, name: str) -> None:
    (role, _) = asked(faulty_server, "subscription{role}", {name: f"Bearer {faulty_server.token}"})

    assert role["payload"] == {"data": {"role": "ADMIN"}}


def test_the_token_of_a_client_is_taken_from_its_header_and_the_introduction_goes_before(
    faulty_server: Running,
) -> None:
    header = {"additional_headers": {"Authorization": f"Bearer {faulty_server.token}"}}

    (by_header, _) = asked(faulty_server, "{viewer{role}}", {"Authorization": None}, **header)
    with introduced(faulty_server, {"Authorization": "Bearer bad"}, **header) as socket:
        code = closed_with(socket)

    assert by_header["payload"] == {"data": {"viewer": {"role": "ADMIN"}}}
    assert code == 4403


def test_a_client_without_a_token_is_anonymous(faulty_server: Running) -> None:
    (role, _) = asked(faulty_server, "{viewer{role}}", {"Other": 5})

    assert role["payload"] == {"data": {"viewer": {"role": "ANONYMOUS"}}}


@pytest.mark.parametrize("given", ["Bearer pg_bad", "Basic dTpw", "", "Bearer ünsicher", 5, ["Bearer x"]], ids=repr)
def test_a_bad_token_closes_the_socket(faulty_server: Running, given: Any) -> None:
    with introduced(faulty_server, {"Authorization": given}) as socket:
        assert closed_with(socket) == 4403


def test_a_bad_token_in_the_header_closes_the_socket_with_the_reason(faulty_server: Running) -> None:
    with introduced(faulty_server, additional_headers={"Authorization": "Bearer bad"}) as socket:
        assert closed_with(socket) == 4403
        assert socket.close_reason == "The token is invalid, has expired or was revoked."


def test_values_are_written_as_over_http(faulty_server: Running) -> None:
    query = '{echo(value:{b:1.50,a:[null,"\u00e9"]})}'

    (over_socket, _) = asked(faulty_server, query)

    assert (
        over_socket["payload"] == faulty_server.post(query).json() == {"data": {"echo": {"b": 1.5, "a": [None, "é"]}}}
    )


def test_operations_of_one_socket_read_anew(faulty_server: Running) -> None:
    token = {"Authorization": f"Bearer {faulty_server.token}"}
    url = "https://sockets.example"
    create = f'mutation{{createOrganisation(input:{{url:"{url}",name:"Sockets"}}){{userErrors{{code}}}}}}'
    read = f'{{organisation(url:"{url}"){{name}}}}'

    with introduced(faulty_server, token) as socket:
        socket.recv(within(30))
        before, written, after = (answers(socket, query)[0]["payload"]["data"] for query in (read, create, read))

    assert before == {"organisation": None}
    assert written == {"createOrganisation": {"userErrors": []}}
    assert after == {"organisation": {"name": "Sockets"}}


@pytest.mark.parametrize(
    ("query", "code"),
    [("{" + "hello " * 21 + "}", "LIMIT_EXCEEDED"), ("{nope}", "GRAPHQL_VALIDATION_FAILED")],
)
def test_documents_meet_the_same_limits(faulty_server: Running, query: str, code: str) -> None:
    (message,) = asked(faulty_server, query)

    assert message["type"] == "error"
    assert message["payload"][0]["extensions"]["code"] == code


@pytest.mark.parametrize("query", ["{thing{broken}}", "subscription{count(to:7)}"])
def test_exceptions_are_masked(faulty_server: Running, query: str) -> None:
    messages = asked(faulty_server, query)

    assert "INTERNAL_SERVER_ERROR" in json.dumps(messages)
    assert "hunter2" not in json.dumps(messages)
