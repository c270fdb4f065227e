"""Quotas, as clients of a real server meet them over HTTP and WebSocket."""

import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from websockets.sync.client import connect

from documents.embedded_mongod.server import EmbeddedMongo
from tests.support.running import COMMAND, Running, on_database, running

CREATE_USER = """mutation { createUser(input: {displayName: "ada", email: "ada@people.example"}) { user { id } } }"""
CREATE_TOKEN = """mutation ($user: ID!) { createToken(input: {name: "ada's", userId: $user}) { secret } }"""
ROLE = "{viewer{role}}"
USED = "{viewer{quotas{name subject size used}}}"
PROTOCOL: Any = "graphql-transport-ws"
USED_UP = r"The quota of \d+ (\w+) a day of (\w+?)_[0-9a-f]+ is used up\. It is renewed at \d{4}-\d\d-\d\dT00:00:00Z\."


@pytest.fixture
def database(mongod: EmbeddedMongo) -> dict[str, str]:
    return on_database(mongod.uri, f"test_quotas_{uuid4().hex[:8]}")


def a_token(server: Running) -> str:
    user = server.ask(CREATE_USER)["createUser"]["user"]["id"]
    secret: str = server.ask(CREATE_TOKEN, {"user": user})["createToken"]["secret"]
    return secret


@pytest.fixture
def served(database: dict[str, str]) -> Iterator[Running]:
    """A server on which a token may ask four times a day."""
    with running(*COMMAND, "serve", env=database | {"PROVENANCE_TOKEN_REQUESTS": "4"}) as server:
        yield server


def told(message: str) -> tuple[str, str]:
    """The quota that a message names, and the kind of its subject."""
    found = re.fullmatch(USED_UP, message)
    assert found is not None, message
    return found[1], found[2]


def test_requests_beyond_the_quota_are_refused_until_tomorrow(served: Running) -> None:
    authorization = f"Bearer {a_token(served)}"

    answers = [served.post(ROLE, authorization=authorization) for _ in range(5)]
    anonymous = served.post(ROLE)
    administrator = served.ask(USED)

    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 429]
    (error,) = answers[-1].json()["errors"]
    assert error["extensions"] == {"code": "QUOTA_EXCEEDED"}
    assert told(error["message"]) == ("requests", "token")
    assert 0 < int(answers[-1].headers["retry-after"]) <= 86_400
    assert anonymous.status_code == 200
    assert administrator == {"viewer": {"quotas": []}}


def test_operations_over_websocket_count_and_end_with_the_same_error(served: Running) -> None:
    headers = {"Authorization": f"Bearer {a_token(served)}"}
    url = served.url.replace("http", "ws", 1) + "/graphql"
    with connect(url, subprotocols=[PROTOCOL], additional_headers=headers, proxy=None) as socket:
        socket.send('{"type": "connection_init"}')
        socket.recv()

        messages = [operation(socket, USED, str(number)) for number in range(5)]
        still_open = operation(socket, USED, "6")

    assert [message["type"] for message in messages] == ["next"] * 4 + ["error"]
    assert messages[3]["payload"]["data"]["viewer"]["quotas"] == [
        {"name": "REQUESTS", "subject": "TOKEN", "size": 4, "used": 4}
    ]
    (error,) = messages[-1]["payload"]
    assert error["extensions"] == {"code": "QUOTA_EXCEEDED"}
    assert told(error["message"]) == ("requests", "token")
    assert still_open["type"] == "error"


def operation(socket: Any, query: str, id: str) -> dict[str, Any]:
    """The first message about an operation, after its end."""
    socket.send(json.dumps({"type": "subscribe", "id": id, "payload": {"query": query}}))
    first: dict[str, Any] = json.loads(socket.recv())
    if first["type"] == "next":
        assert json.loads(socket.recv())["type"] == "complete"
    return first


def test_objects_of_answers_count_for_the_user_of_a_token(database: dict[str, str]) -> None:
    with running(*COMMAND, "serve", env=database | {"PROVENANCE_USER_OBJECTS": "3"}) as server:
        authorization = f"Bearer {a_token(server)}"
        query = "{users{nodes{id} edges{node{displayName}}}}"

        first = server.post(query, authorization=authorization)
        used = server.post(USED, authorization=authorization).json()["data"]["viewer"]["quotas"]
        while (last := server.post(query, authorization=authorization)).status_code == 200:
            pass

    assert first.status_code == 200
    assert used == [{"name": "OBJECTS", "subject": "USER", "size": 3, "used": used[0]["used"]}]
    assert used[0]["used"] > 0
    assert last.status_code == 429
    assert told(last.json()["errors"][0]["message"]) == ("objects", "user")


def test_what_was_used_outlives_the_server(database: dict[str, str]) -> None:
    env = database | {"PROVENANCE_TOKEN_REQUESTS": "1"}
    with running(*COMMAND, "serve", env=env) as server:
        authorization = f"Bearer {a_token(server)}"
        first = server.post(ROLE, authorization=authorization)

    with running(*COMMAND, "serve", env=env) as server:
        again = server.post(ROLE, authorization=authorization)

    assert (first.status_code, again.status_code) == (200, 429)
