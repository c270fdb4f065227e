"""A server that is told to stop finishes what runs, refuses what is new, and ends in time."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests.running import ALTERED, COMMAND, Running, alive, running, until

EXIT_WITHIN = 8.5


def wait_until_running(server: Running) -> None:
    until(lambda: "provenance_http_requests_in_flight 2.0" in server.get("/metrics").text, 10)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_running_request_is_answered_and_new_ones_are_refused(sent: signal.Signals) -> None:
    with running(*ALTERED) as server, ThreadPoolExecutor() as threads:
        asking = threads.submit(httpx2.post, f"{server.url}/graphql", json={"query": "{slow(seconds:3)}"}, timeout=20)
        wait_until_running(server)
        database = server.database_pid()

        server.process.send_signal(sent)
        began = time.monotonic()
        time.sleep(0.5)
        with pytest.raises(httpx2.ConnectError):
            httpx2.post(f"{server.url}/graphql", json={"query": "{hello}"})
        answer = asking.result()
        code = server.process.wait(EXIT_WITHIN)

        assert answer.json() == {"data": {"slow": "done"}}
        assert time.monotonic() - began < EXIT_WITHIN
        assert code == 0
        assert not alive(database)
        assert "Traceback" not in server.log


def test_a_request_that_never_ends_does_not_keep_the_server() -> None:
    with running(*ALTERED) as server, ThreadPoolExecutor() as threads:
        asking = threads.submit(httpx2.post, f"{server.url}/graphql", json={"query": "{slow(seconds:60)}"}, timeout=20)
        wait_until_running(server)
        database = server.database_pid()

        server.stop()

        assert server.process.wait(EXIT_WITHIN) == 0
        assert not alive(database)
        answer = asking.result()
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (503, "UNAVAILABLE")


def test_a_part_that_does_not_let_go_does_not_keep_the_server() -> None:
    with running(*ALTERED) as server, ThreadPoolExecutor() as threads:
        database = server.database_pid()
        waiting = threads.submit(
            httpx2.post, f"{server.url}/graphql", json={"query": "{stuck(seconds:60)}"}, timeout=20
        )
        until(lambda: "stuck" in server.log, 10)

        server.stop()

        assert server.process.wait(EXIT_WITHIN) == 70
        assert "did not stop in time" in server.log
        assert isinstance(waiting.exception(), httpx2.RemoteProtocolError)
        until(lambda: not alive(database), 5)


def test_a_server_that_is_killed_leaves_no_database_behind_and_its_successor_finds_what_was_written(
    fast_directory: Path,
) -> None:
    create = 'mutation{createOrganisation(input:{url:"https://kept.example",name:"Kept"}){organisation{name}}}'
    directory = fast_directory / "killed"
    directory.mkdir()
    with running(*COMMAND, "serve", directory=directory) as server:
        database = server.database_pid()
        server.ask(create)

        server.process.kill()

        until(lambda: not alive(database), 5)
    with running(*COMMAND, "serve", directory=directory) as server:
        found = server.ask("{organisations{nodes{name}}}")

    assert found == {"organisations": {"nodes": [{"name": "Kept"}]}}
