"""Subscriptions over WebSocket: one protocol, the same limits and the same masking as over HTTP."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.graph.serving import Served, serving

PROTOCOL = "graphql-transport-ws"


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with serving("-m", "tests.graph.toy", env={"PROVENANCE_ALLOWED_ORIGINS": "https://lab.example"}) as served:
        yield served


def opened(server: Served, *, protocol: str = PROTOCOL, **options: Any) -> ClientConnection:
    address = server.url.replace("http", "ws") + "/graphql"
    return connect(address, subprotocols=[protocol], proxy=None, open_timeout=10, **options)  # type: ignore[list-item]


def asked(server: Served, query: str) -> list[dict[str, Any]]:
    """Every message about one operation."""
    messages: list[dict[str, Any]] = []
    with opened(server) as socket:
        socket.send(json.dumps({"type": "connection_init"}))
        assert json.loads(socket.recv(5)) == {"type": "connection_ack"}
        socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": query}}))
        while not messages or messages[-1]["type"] not in ("complete", "error"):
            messages.append(json.loads(socket.recv(5)))
    return messages


def closed_with(socket: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed):
        socket.recv(5)
    assert socket.close_code is not None
    return socket.close_code


def test_a_subscription_delivers_its_values_and_ends(server: Served) -> None:
    messages = asked(server, "subscription{count(to:2)}")

    assert [message.get("payload") for message in messages] == [{"data": {"count": 0}}, {"data": {"count": 1}}, None]


def test_the_older_protocol_is_not_spoken(server: Served) -> None:
    with opened(server, protocol="graphql-ws") as socket:
        assert closed_with(socket) == 4406


def test_nothing_is_answered_before_the_client_has_introduced_itself(server: Served) -> None:
    with opened(server) as socket:
        socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": "{hello}"}}))
        assert closed_with(socket) == 4401


@pytest.mark.parametrize("frame", ["[]", "{", "[" * 50_000, '{"type":"subscribe","id":{},"payload":"x"}'])
def test_a_frame_that_is_no_message_closes_the_socket(server: Served, frame: str) -> None:
    with opened(server) as socket:
        socket.send(frame)
        assert closed_with(socket) == 4400


def test_pages_of_other_origins_are_refused(server: Served) -> None:
    with opened(server, origin="https://lab.example"):
        pass
    with pytest.raises(InvalidStatus) as refused, opened(server, origin="https://evil.example"):
        pass

    assert refused.value.response.status_code == 403


def test_a_bad_token_closes_the_socket(server: Served) -> None:
    with opened(server, additional_headers={"Authorization": "Bearer bad"}) as socket:
        assert closed_with(socket) == 4403


@pytest.mark.parametrize(
    ("query", "code"),
    [("{" + "hello " * 21 + "}", "LIMIT_EXCEEDED"), ("{nope}", "GRAPHQL_VALIDATION_FAILED")],
)
def test_documents_meet_the_same_limits(server: Served, query: str, code: str) -> None:
    (message,) = asked(server, query)

    assert message["type"] == "error"
    assert message["payload"][0]["extensions"]["code"] == code


@pytest.mark.parametrize("query", ["{thing{broken}}", "subscription{count(to:7)}"])
def test_exceptions_are_masked(server: Served, query: str) -> None:
    messages = asked(server, query)

    assert "INTERNAL_SERVER_ERROR" in json.dumps(messages)
    assert "hunter2" not in json.dumps(messages)
