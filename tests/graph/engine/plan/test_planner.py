"""In development a response says what answered, and the metrics count it everywhere."""

import sys

import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from tests.support.needs import need_compiled
from tests.support.running import COMMAND, Running, in_production, on_database, running

HEADER = "X-Provenance-Answer"
PLANNED = "{ users { totalCount } }"
ASIDE = "{ users(first: 101) { totalCount } }"
LISTED = "{ organisations { nodes { id url createdAt resources { nodes { id } } } pageInfo { endCursor } totalCount } }"
UNCOMPILED = "import sys; sys.modules['documents.mongo._row'] = None; from graph.commands.main import main; main()"
MUTATION = 'mutation { createOrganisation(input: { url: "https://a.example" }) { organisation { id } } }'


def answered_by(server: Running, *queries: str) -> list[str | None]:
    return [server.post(query).headers.get(HEADER) for query in queries]


def counted(server: Running) -> dict[str, float]:
    name = "provenance_graphql_executions_total"
    lines = [line for line in server.get("/metrics").text.splitlines() if line.startswith(name)]
    counts = {line.split('"')[1]: float(line.rsplit(" ", 1)[1]) for line in lines}
    return {by: count for by, count in counts.items() if count}


def test_plans_answer_queries_and_leave_errors_and_mutations_to_the_reference(mongod: EmbeddedMongo) -> None:
    with running(*COMMAND, "serve", env=on_database(mongod.uri, "answered_by")) as server:
        found = answered_by(server, PLANNED, PLANNED, ASIDE, "{ __schema { description } }", MUTATION, "{ nothing }")

        assert found == ["planned", "planned", "stepped-aside", "planned", "reference", None]
        assert counted(server) == {"planned": 3, "stepped_aside": 1, "reference": 1}


def test_the_reference_answers_alone_when_it_is_told_to(mongod: EmbeddedMongo) -> None:
    env = on_database(mongod.uri, "answered_by") | {"PROVENANCE_EXECUTOR": "reference"}
    with running(*COMMAND, "serve", env=env) as server:
        assert answered_by(server, PLANNED, ASIDE) == ["reference", "reference"]
        assert counted(server) == {"reference": 2}


@pytest.mark.parametrize("query", [PLANNED, ASIDE])
def test_in_production_clients_are_not_told(mongod: EmbeddedMongo, query: str) -> None:
    env = in_production(mongod.uri, "answered_by")
    with running(*COMMAND, "serve", env=env) as server:
        assert answered_by(server, query) == [None]
        assert sum(counted(server).values()) == 1


def test_a_server_that_was_not_compiled_says_so_and_answers_by_plan_all_the_same(mongod: EmbeddedMongo) -> None:
    need_compiled()
    env = on_database(mongod.uri, "uncompiled")
    with (
        running(*COMMAND, "serve", env=env) as compiled,
        running(sys.executable, "-c", UNCOMPILED, "serve", env=env) as other,
    ):
        compiled.ask(MUTATION)

        answers = [server.post(LISTED) for server in (compiled, other)]

        assert [answer.headers[HEADER] for answer in answers] == ["planned", "planned"]
        assert answers[0].json()["data"] == answers[1].json()["data"]
        assert answers[0].json()["data"]["organisations"]["totalCount"] == 1
        assert ("not compiled" in compiled.log, "not compiled" in other.log) == (False, True)
