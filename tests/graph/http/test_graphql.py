"""Responses to well-formed and hostile GraphQL requests over real HTTP."""

import json
from typing import Any

import httpx2
import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from tests.support.running import FAULTY_SERVER, GRAPHQL_JSON, Running, in_production, running

JSON = "application/json"


def code(response: httpx2.Response) -> str:
    answer = response.json()
    assert "data" not in answer
    return str(answer["errors"][0]["extensions"]["code"])


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", JSON),
        (JSON, JSON),
        (GRAPHQL_JSON, GRAPHQL_JSON),
        (f"{GRAPHQL_JSON}, {JSON}", GRAPHQL_JSON),
        (f"{GRAPHQL_JSON};q=0.5, {JSON}", JSON),
        (f"{GRAPHQL_JSON}, {JSON};q=0.9, */*;q=0.1", GRAPHQL_JSON),
    ],
)
def test_the_media_type_is_the_one_the_client_prefers(faulty_server: Running, accept: str, media: str) -> None:
    response = faulty_server.post("{hello}", accept=accept)

    assert response.status_code == 200
    assert response.headers["content-type"] == f"{media}; charset=utf-8"
    assert response.json() == {"data": {"hello": "world"}}


def test_a_client_that_takes_neither_media_type_is_told_so(faulty_server: Running) -> None:
    assert faulty_server.post("{hello}", accept="image/png").status_code == 406


def test_a_document_that_cannot_run_is_400_in_the_new_media_type_and_200_in_the_old(faulty_server: Running) -> None:
    assert [faulty_server.post("{", accept=accept).status_code for accept in (GRAPHQL_JSON, JSON)] == [400, 200]
    assert [faulty_server.post("{nope}", accept=accept).status_code for accept in (GRAPHQL_JSON, JSON)] == [400, 200]


@pytest.mark.parametrize(
    ("query", "variables", "expected"),
    [
        ("{", None, "GRAPHQL_PARSE_FAILED"),
        ("{nope}", None, "GRAPHQL_VALIDATION_FAILED"),
        ("query($n:Int!){number(value:$n)}", {"n": "x"}, "BAD_USER_INPUT"),
        ("query($n:Int!){number(value:$n)}", {}, "BAD_USER_INPUT"),
        ("query A{hello} query B{hello}", None, "BAD_USER_INPUT"),
        ("subscription{count(to:1)}", None, "BAD_USER_INPUT"),
        ("{users{nodes{" + "digitalTwins{nodes{owner{" * 5 + "id" + "}}}" * 5 + "}}}", None, "LIMIT_EXCEEDED"),
    ],
)
def test_each_refusal_has_a_code(faulty_server: Running, query: str, variables: Any, expected: str) -> None:
    response = faulty_server.post(query, variables)

    assert response.status_code == 400
    assert code(response) == expected


def test_a_refused_document_is_refused_alike_when_it_is_remembered(faulty_server: Running) -> None:
    first, second = faulty_server.post("{nowhere}"), faulty_server.post("{nowhere}")

    assert first.content == second.content


def test_a_get_answers_queries_and_refuses_mutations_without_running_them(faulty_server: Running) -> None:
    touched = faulty_server.log.count("touched")
    query = faulty_server.get("/graphql", params={"query": "query($n:Int!){number(value:$n)}", "variables": '{"n":3}'})
    mutation = faulty_server.get("/graphql", params={"query": "mutation{touch}"})

    assert query.json() == {"data": {"number": 3}}
    assert (mutation.status_code, mutation.headers["allow"]) == (405, "POST")
    assert faulty_server.log.count("touched") == touched


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "application/json; charset=utf-16",
    ],
)
def test_only_json_is_taken(faulty_server: Running, content_type: str | None) -> None:
    touched = faulty_server.log.count("touched")

    response = faulty_server.send(b'{"query":"mutation{touch}"}', content_type)

    assert response.status_code == 415
    assert code(response) == "BAD_REQUEST"
    assert faulty_server.log.count("touched") == touched


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe{}",
        b'{"query": NaN}',
        b"null",
        b'"{hello}"',
        b'[{"query":"{hello}"},{"query":"{hello}"}]',
        b'{"query":""}',
        b'{"query":["{hello}"]}',
        b'{"query":"{hello}","variables":[]}',
        b'{"query":"{hello}","operationName":5}',
        b'{"query":"{hello}","extensions":"x"}',
        b"[" * 100_000,
        b'{"query":"{hello}","variables":{"a":' + b"9" * 5000 + b"}}",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_a_body_that_is_no_single_request_is_400(faulty_server: Running, body: bytes) -> None:
    response = faulty_server.send(body)

    assert response.status_code == 400
    assert code(response) in ("BAD_REQUEST", "LIMIT_EXCEEDED")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "Expecting property name enclosed in double quotes at character 1"),
        (b'{"query": NaN}', "NaN is not a JSON number"),
        (b'{"query": -Infinity}', "-Infinity is not a JSON number"),
    ],
)
def test_a_body_that_is_not_json_is_refused_with_the_reason(faulty_server: Running, body: bytes, reason: str) -> None:
    (error,) = faulty_server.send(body).json()["errors"]

    assert error == {"message": f"The body is not JSON: {reason}.", "extensions": {"code": "BAD_REQUEST"}}


def test_a_body_over_the_limit_is_413_whether_announced_or_in_chunks(faulty_server: Running) -> None:
    large = b'{"query":"{hello}' + b" " * 1_000_000 + b'"}'

    announced = faulty_server.send(large)
    chunked = faulty_server.send(iter([large[:600_000], large[600_000:]]))

    assert [announced.status_code, chunked.status_code] == [413, 413]
    assert code(announced) == code(chunked) == "LIMIT_EXCEEDED"


def test_an_exception_shows_the_client_only_the_masked_message_and_the_request_id(faulty_server: Running) -> None:
    response = faulty_server.post("{thing{name broken}}", x_request_id="canary-7")

    error = response.json()["errors"][0]
    assert response.json()["data"] == {"thing": {"name": "thing", "broken": None}}
    assert error["message"] == "Internal error"
    assert error["path"] == ["thing", "broken"]
    assert error["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "requestId": "canary-7"}
    assert "hunter2" not in response.text + str(response.headers)


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_JSON])
@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("{lost}", {"lost": "The database is not responding at the moment. Try again later."}),
        ('{lost(how:"bucket")}', {"lost": "The bucket is not responding at the moment. Try again later."}),
        (
            "mutation{lose}",
            {
                "lose": "The database is not responding at the moment. Try again later. "
                "It is unknown whether lose was applied: repeat it with the same idempotencyKey."
            },
        ),
        (
            '{lost b:lost(how:"late")}',
            {
                "lost": "The database is not responding at the moment. Try again later.",
                "b": "The request timed out before b was answered. Ask for less, or try again later.",
            },
        ),
    ],
)
def test_where_an_outage_left_nothing_to_answer_the_status_is_503_and_says_when_to_ask_again(
    faulty_server: Running, accept: str, query: str, told: dict[str, str]
) -> None:
    response = faulty_server.post(query, accept=accept, authorization=f"Bearer {faulty_server.token}")

    answer = response.json()
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    assert response.headers["content-type"].startswith(accept)
    assert answer["data"] == dict.fromkeys(told)
    assert {error["path"][0]: error["message"] for error in answer["errors"]} == told
    assert {error["extensions"]["code"] for error in answer["errors"]} <= {"UNAVAILABLE", "TIMEOUT"}
    assert "internal" not in response.text


def test_what_an_outage_left_is_answered_and_a_field_that_was_late_is_named(faulty_server: Running) -> None:
    response = faulty_server.post("{hello missing thing{name late} lost}")

    errors = {".".join(error["path"]): error for error in response.json()["errors"]}
    assert (response.status_code, "retry-after" in response.headers) == (200, False)
    assert response.json()["data"] == {
        "hello": "world",
        "missing": None,
        "thing": {"name": "thing", "late": None},
        "lost": None,
    }
    assert {path: error["extensions"] for path, error in errors.items()} == {
        "missing": {"code": "NOT_FOUND"},
        "thing.late": {"code": "TIMEOUT"},
        "lost": {"code": "UNAVAILABLE"},
    }
    assert "before thing.late was answered" in errors["thing.late"]["message"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ('{lost(how:"full")}', "The bucket is full: No space left on device."),
        ('{lost(how:"disk")}', "The database's disk is full."),
        ('mutation{lost: lose(how:"full")}', "The bucket is full: No space left on device."),
    ],
)
def test_where_there_is_no_room_left_the_status_is_507_with_the_reason(
    faulty_server: Running, query: str, told: str
) -> None:
    response = faulty_server.post(query, authorization=f"Bearer {faulty_server.token}")
    beside = faulty_server.post('{lost(how:"full") b: lost}')

    error = {"message": told, "path": ["lost"], "extensions": {"code": "INSUFFICIENT_STORAGE"}}
    assert response.status_code == 507
    assert response.json()["data"] == {"lost": None}
    assert [one | {"locations": None} for one in response.json()["errors"]] == [error | {"locations": None}]
    assert beside.status_code == 503
    assert "internal" not in response.text


def test_a_field_that_was_answered_with_null_is_an_answer_all_the_same(faulty_server: Running) -> None:
    response = faulty_server.post('{lost user(id:"user_nobody"){id}}')

    assert response.json()["data"] == {"lost": None, "user": None}
    assert response.status_code == 200


def test_an_outage_is_a_line_in_the_log_however_many_meet_it(faulty_server: Running) -> None:
    for _ in range(50):
        faulty_server.post("{lost}")

    said = faulty_server.log.splitlines()
    lines = [line for line in said if "requests could not be answered: UNAVAILABLE" in line]
    assert 1 <= len(lines) <= 10
    assert "Traceback" not in "".join(lines)
    assert [line for line in said if "ServerSelectionTimeoutError" in line and line not in lines] == []


def test_the_log_has_the_traceback_and_the_request_id_but_no_password(faulty_server: Running) -> None:
    faulty_server.post("{thing{broken}}", x_request_id="canary-8")
    faulty_server.post("{thing{broken}}", authorization="Bearer sesame-open-sesame")

    assert "Faulty: cannot reach mongodb://[removed]@db.internal:27017" in faulty_server.log
    assert "canary-8" in faulty_server.log
    assert "hunter2" not in faulty_server.log
    assert "sesame" not in faulty_server.log


def test_a_value_of_ours_that_no_scalar_can_write_is_masked_too(faulty_server: Running) -> None:
    response = faulty_server.post("{wrongType}")

    assert response.status_code == 200
    assert response.json()["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert "hunter2" not in response.text


def test_refusals_made_for_the_client_keep_message_and_code(faulty_server: Running) -> None:
    answer = faulty_server.post("{missing refused}").json()

    told = {error["message"]: error["extensions"] for error in answer["errors"]}
    assert told == {
        "No Thing with id thing_1.": {"code": "NOT_FOUND"},
        "No more today.": {"code": "LIMIT_EXCEEDED"},
    }


def test_a_token_that_cannot_be_accepted_is_401_with_a_graphql_error(faulty_server: Running) -> None:
    response = faulty_server.post("{hello}", authorization="Bearer pg_bad")

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json() == {
        "errors": [
            {"message": "The token is invalid, has expired or was revoked.", "extensions": {"code": "UNAUTHENTICATED"}}
        ]
    }


@pytest.mark.parametrize("given", ["x" * 101, "a b", "<script>", ""])
def test_a_request_id_that_is_not_sane_is_replaced(faulty_server: Running, given: str) -> None:
    response = faulty_server.post("{hello}", x_request_id=given)

    assert response.headers["x-request-id"] != given
    assert len(response.headers["x-request-id"]) == 32


@pytest.mark.parametrize("text", [r"\u0000", r"\ud800", r"a\udfffb"])
def test_text_that_cannot_be_stored_is_refused_in_variables_and_documents(faulty_server: Running, text: str) -> None:
    variable = faulty_server.send(
        b'{"query":"query($v:JSON!){echo(value:$v)}","variables":{"v":["%s"]}}' % text.encode()
    )
    key = faulty_server.send(b'{"query":"query($v:JSON!){echo(value:$v)}","variables":{"v":{"%s":1}}}' % text.encode())
    document = faulty_server.send(b'{"query":"{echo(value:\\"%s\\")}"}' % text.encode())

    assert [code(response) for response in (variable, key, document)] == ["BAD_USER_INPUT"] * 3


@pytest.mark.parametrize(
    "number", ["9" * 19, "-" + "9" * 30, str(2**63), str(-(2**63) - 1), "1e400", "-1e400", "9" * 4000]
)
def test_numbers_that_cannot_be_stored_are_refused_not_failed_over(faulty_server: Running, number: str) -> None:
    variable = faulty_server.send(b'{"query":"query($v:JSON!){echo(value:$v)}","variables":{"v":%s}}' % number.encode())
    literal = faulty_server.post(f"{{echo(value:{number})}}")

    assert [variable.status_code, literal.status_code] == [400, 400]
    assert [code(variable), code(literal)] == ["BAD_USER_INPUT"] * 2


def test_numbers_up_to_64_bits_pass_unchanged(faulty_server: Running) -> None:
    numbers = [2**63 - 1, -(2**63), 1.5, 0]

    assert faulty_server.post("query($v:JSON!){echo(value:$v)}", {"v": numbers}).json() == {"data": {"echo": numbers}}


def test_filters_with_operators_are_refused_as_input(faulty_server: Running) -> None:
    query = "query($w:OrganisationWhere){organisations(where:$w){nodes{id}}}"

    responses = [faulty_server.post(query, {"w": where}) for where in ({"$ne": None}, {"name": {"$ne": None}})]

    assert [code(response) for response in responses] == ["BAD_USER_INPUT"] * 2


def test_a_browser_gets_the_page_and_a_client_does_not(faulty_server: Running) -> None:
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

    pages = [faulty_server.get(path, headers=browser) for path in ("/", "/graphql")]
    answers = [faulty_server.get(path, headers={"accept": "*/*"}) for path in ("/", "/graphql")]

    assert [page.headers["content-type"] for page in pages] == ["text/html; charset=utf-8"] * 2
    assert "nonce-" in pages[0].headers["content-security-policy"]
    assert answers[0].headers["content-type"] == "text/plain; charset=utf-8"
    assert answers[1].status_code == 400


def test_answers_carry_security_headers(faulty_server: Running) -> None:
    for response in (faulty_server.post("{hello}"), faulty_server.get("/livez"), faulty_server.get("/nowhere")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["content-security-policy"].startswith("default-src 'none'")
        assert "server" not in response.headers


def test_an_unknown_path_and_a_wrong_method_are_answered_as_json(faulty_server: Running) -> None:
    nowhere = faulty_server.get("/nowhere")
    deleted = faulty_server.client.delete(f"{faulty_server.url}/graphql")

    assert (nowhere.status_code, code(nowhere)) == (404, "BAD_REQUEST")
    assert deleted.status_code == 405
    assert set(deleted.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


def test_a_server_whose_database_answers_is_ready(faulty_server: Running) -> None:
    assert faulty_server.get("/readyz").json() == {"status": "ready"}


def test_metrics_count_outcomes_and_refusals(faulty_server: Running) -> None:
    def counted(line: str) -> float:
        found = [row for row in faulty_server.get("/metrics").text.splitlines() if row.startswith(line + " ")]
        return float(found[0].split()[-1]) if found else 0.0

    refused = 'provenance_graphql_refusals_total{code="GRAPHQL_PARSE_FAILED"}'
    ok = 'provenance_graphql_operations_total{outcome="ok"}'
    before = counted(refused), counted(ok)
    faulty_server.post("{")
    faulty_server.post("{hello}")

    assert (counted(refused), counted(ok)) == (before[0] + 1, before[1] + 1)


def test_production_logs_one_json_line_a_request_without_its_query_string(mongod: EmbeddedMongo) -> None:
    env = in_production(mongod.uri, "test_production")
    with running(*FAULTY_SERVER, env=env) as server:
        server.get("/graphql", params={"query": '{echo(value:"canary-in-query")}'}, headers={"x-request-id": "id-1"})
        server.post("{thing{broken}}", x_request_id="id-2", authorization=f"Bearer {server.token}")
        server.stop()
        server.process.wait(9)
        log = server.log

    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["message"] for line in lines if line["logger"] == "graph.serving"] == ["serving"]
    answered = next(line for line in lines if line["message"] == "answered")
    assert {name: answered[name] for name in ("severity", "requestId", "method", "path", "status")} == {
        "severity": "INFO",
        "requestId": "id-1",
        "method": "GET",
        "path": "/graphql",
        "status": 200,
    }
    failed = next(line for line in lines if line["message"] == "a field failed")
    assert (failed["severity"], failed["requestId"], failed["path"]) == ("ERROR", "id-2", "thing.broken")
    assert "Faulty" in failed["exception"]
    password = mongod.uri.split(":")[2].split("@")[0]
    assert [secret for secret in ("canary", password, server.token) if secret in log] == []
