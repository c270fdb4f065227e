"""The metrics are for everybody, for administrators, or on a port of their own, as the settings say."""

import socket
from collections.abc import Iterator

import httpx2
import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from tests.support.patience import within
from tests.support.running import COMMAND, PLAIN, Running, command, environment, on_database, running


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def guarded(mongod: EmbeddedMongo) -> Iterator[Running]:
    """A server whose metrics are for administrators."""
    with running(*COMMAND, "serve", env=guarded_environment(mongod)) as server:
        yield server


def guarded_environment(mongod: EmbeddedMongo) -> dict[str, str]:
    return on_database(mongod.uri, "test_metrics_page") | {"PROVENANCE_METRICS_ACCESS": "admin"}


def test_metrics_are_public_unless_a_setting_says_otherwise(faulty_server: Running) -> None:
    page = faulty_server.get("/metrics")

    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/plain; version=")
    assert "provenance_database_up 1.0" in page.text.splitlines()
    assert "python_info{" in page.text
    assert 'provenance_build_info{commit="unknown",mongodb="' in page.text
    assert 'provenance_database_connections{state="idle"}' in page.text


def test_a_guarded_page_is_for_administrators_alone(guarded: Running, mongod: EmbeddedMongo) -> None:
    env = environment(guarded.directory, guarded_environment(mongod))
    created = command("token", "create", "w", "--role", "worker", env=env).stdout.strip()

    anonymous = guarded.get("/metrics")
    worker = guarded.get("/metrics", headers={"authorization": f"Bearer {created}"})
    wrong = guarded.get("/metrics", headers={"authorization": "Bearer wrong"})
    admin = guarded.get("/metrics", headers={"authorization": f"Bearer {guarded.token}"})

    assert [answer.status_code for answer in (anonymous, worker, wrong, admin)] == [401, 403, 401, 200]
    assert anonymous.headers["www-authenticate"] == "Bearer"
    assert worker.json()["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert [answer.text for answer in (anonymous, worker, wrong) if "provenance_" in answer.text] == []
    assert "provenance_database_up 1.0" in admin.text


def test_a_port_of_its_own_serves_the_metrics_and_nothing_else(mongod: EmbeddedMongo, unused_port: int) -> None:
    env = on_database(mongod.uri, "test_metrics_port") | {"PROVENANCE_METRICS_PORT": str(unused_port)}
    with running(*COMMAND, "serve", env=env) as server:
        address = f"http://127.0.0.1:{unused_port}"
        metrics = httpx2.get(f"{address}/metrics", **PLAIN)
        graphql = httpx2.post(f"{address}/graphql", json={"query": "{__typename}"}, **PLAIN)
        on_main_port = server.get("/metrics")
        server.stop()
        code = server.process.wait(30)

    assert (metrics.status_code, graphql.status_code, on_main_port.status_code, code) == (200, 404, 401, 0)
    assert "provenance_processes 1.0" in metrics.text.splitlines()


def test_a_port_that_is_taken_stops_the_start_with_a_sentence(mongod: EmbeddedMongo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        env = on_database(mongod.uri, "test_metrics_port") | {"PROVENANCE_METRICS_PORT": str(port)}
        with running(*COMMAND, "serve", env=env, wait=False) as server:
            code, said = server.process.wait(within(60)), server.log

    assert code == 1
    assert f"Cannot listen on 127.0.0.1 port {port}: Address already in use. Set PROVENANCE_METRICS_HOST or" in said
