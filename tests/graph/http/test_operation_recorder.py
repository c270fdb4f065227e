"""A slow operation is logged with what it took, and with nothing that its client wrote but the name."""

import json
from collections.abc import Iterator

import pytest
from pymongo.errors import ExecutionTimeout

from documents.embedded_mongod.server import EmbeddedMongo
from graph.engine.prepare import InvalidDocument
from graph.errors import Overloaded, OverloadReason, RequestError
from graph.http.operation_recorder import error_code
from resolvers.reads.answer_budget import AnswerTooLarge
from tests.support.patience import until
from tests.support.running import FAULTY_SERVER, Running, in_production, running

WORLD = "query All($first:Int!){users(first:$first){nodes{displayName}}}"


@pytest.fixture
def slow(mongod: EmbeddedMongo) -> Iterator[Running]:
    """A server to which every operation is slow that takes more than a millisecond."""
    env = in_production(mongod.uri, "test_slow_operations") | {"PROVENANCE_SLOW_SECONDS": "0.001"}
    with running(*FAULTY_SERVER, env=env) as server:
        yield server


def logged(server: Running, name: str) -> dict[str, object]:
    """The line about the slow operation of this name."""

    def lines() -> list[dict[str, object]]:
        rows = [json.loads(line) for line in server.log.splitlines() if line.startswith("{")]
        return [row for row in rows if row["message"] == "an operation was slow" and row["operation"] == name]

    until(lambda: lines())
    (line,) = lines()
    return line


def test_a_slow_operation_is_logged_without_literals_variables_and_tokens(slow: Running) -> None:
    slow.post('query Held{slow(seconds:0.02) echo(value:"canary-literal")}', authorization=f"Bearer {slow.token}")
    line = logged(slow, "Held")

    assert {name: line[name] for name in ("severity", "kind", "role", "by", "code", "roundTrips", "objects")} == {
        "severity": "WARNING",
        "kind": "query",
        "role": "admin",
        "by": "stepped_aside",
        "code": "",
        "roundTrips": 0,
        "objects": 0,
    }
    assert line["bytes"] == len('{"data":{"slow":"done","echo":"canary-literal"}}')
    assert isinstance(line["ms"], float)
    assert line["ms"] >= 20
    assert line["requestId"]
    assert [secret for secret in ("canary", slow.token) if secret in slow.log] == []


def test_a_failed_operation_is_logged_with_its_code(slow: Running) -> None:
    slow.post("query Late{slow(seconds:0.02) thing{late}}")

    assert logged(slow, "Late")["code"] == "TIMEOUT"


def test_the_threshold_is_a_second_unless_it_is_set(faulty_server: Running) -> None:
    faulty_server.post("query Quick{slow(seconds:0.02)}")

    assert "an operation was slow" not in faulty_server.log


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidDocument([{"message": "no", "extensions": {"code": "GRAPHQL_PARSE_FAILED"}}]), "GRAPHQL_PARSE_FAILED"),
        (RequestError("no"), "BAD_USER_INPUT"),
        (Overloaded(OverloadReason.BODIES), "OVERLOADED"),
        (AnswerTooLarge("no"), "LIMIT_EXCEEDED"),
        (ExecutionTimeout("late", 50), "TIMEOUT"),
        (RuntimeError("ours"), "INTERNAL_SERVER_ERROR"),
    ],
)
def test_each_error_counts_under_the_code_that_the_client_sees(error: Exception, code: str) -> None:
    assert error_code(error) == code
