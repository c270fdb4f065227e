"""WebSockets and their operations: as many as there is room for, and nobody signed in is kept out."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection

from tests.graph.engine.test_admission import Gate, askers, full, gate, narrow, quick
from tests.graph.websocket.test_endpoint import answers, closed_with, introduced, opened
from tests.support.follower import gauge
from tests.support.patience import until, within
from tests.support.running import Running

__all__ = ["askers", "gate", "narrow"]

MAX_SOCKETS = 16_000_000 // 60_000
"""Sockets of the narrow server."""


@pytest.fixture
def crowded(narrow: Running) -> Running:
    """The narrow server, without a socket yet."""
    until(lambda: gauge(narrow, "provenance_websockets_open") == 0)
    return narrow


def let_in(socket: ClientConnection) -> None:
    assert json.loads(socket.recv(within(30))) == {"type": "connection_ack"}


def test_an_operation_that_cannot_begin_soon_is_refused_and_its_socket_stays(
    narrow: Running, askers: ThreadPoolExecutor, gate: Gate
) -> None:
    with introduced(narrow) as socket, introduced(narrow, {"Authorization": f"Bearer {narrow.token}"}) as other:
        let_in(socket)
        let_in(other)
        with full(narrow, askers, gate) as (running, *_):
            (refused,) = answers(socket, quick())
            signed_in, _ = answers(other, quick())
            assert not running.done()

        assert refused["type"] == "error"
        assert [error["extensions"]["code"] for error in refused["payload"]] == ["OVERLOADED"]
        assert list(signed_in["payload"]["data"].values()) == ["done"]
        assert running.result().status_code == 200
        assert [message["type"] for message in answers(socket, quick())] == ["next", "complete"]


def test_a_mutation_goes_on_when_its_socket_is_closed(narrow: Running, gate: Gate) -> None:
    begun, done = narrow.log.count("touching"), narrow.log.count("touched late")
    with introduced(narrow) as socket:
        let_in(socket)
        message = {"id": "1", "type": "subscribe", "payload": {"query": gate.mutation}}
        socket.send(json.dumps(message))
        until(lambda: narrow.log.count("touching") > begun)

    until(lambda: gauge(narrow, "provenance_websockets_open") == 0)
    gate.open()

    until(lambda: narrow.log.count("touched late") > done)


def test_a_query_over_a_socket_is_answered_as_over_http(narrow: Running) -> None:
    query = "{ users(first: 2) { nodes { id displayName } pageInfo { hasNextPage } totalCount } }"
    with introduced(narrow) as socket:
        let_in(socket)
        told, _ = answers(socket, query)

    assert told["payload"] == narrow.post(query).json()


def test_clients_who_do_not_say_who_they_are_keep_nobody_out(crowded: Running) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(opened(crowded)) for _ in range(MAX_SOCKETS // 4 + 10)]
        with introduced(crowded) as socket:
            let_in(socket)

        assert gauge(crowded, "provenance_websockets_open") <= MAX_SOCKETS // 4 + 2
        assert closed_with(silent[0]) == 1006


def test_anonymous_sockets_leave_room_for_those_of_whoever_is_signed_in(crowded: Running) -> None:
    with ExitStack() as stack:
        for _ in range((MAX_SOCKETS + 1) // 2):
            let_in(stack.enter_context(introduced(crowded)))

        with introduced(crowded) as refused:
            code = closed_with(refused)
        with introduced(crowded, {"Authorization": f"Bearer {crowded.token}"}) as signed_in:
            let_in(signed_in)

    assert code == 1013


def test_when_there_are_enough_sockets_a_further_one_is_refused_as_a_request_is(crowded: Running) -> None:
    with ExitStack() as stack:
        for _ in range(MAX_SOCKETS):
            let_in(stack.enter_context(introduced(crowded, {"Authorization": f"Bearer {crowded.token}"})))

        with pytest.raises(InvalidStatus) as refused, opened(crowded):
            pass

    answer = refused.value.response
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert json.loads(answer.body or b"")["errors"][0]["extensions"]["code"] == "OVERLOADED"
