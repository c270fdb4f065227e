"""A server that is told to stop finishes what runs, refuses what is new, and ends in time."""

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from graph.server.run import FORCED_EXIT_TIMEOUT, GRACEFUL_SHUTDOWN_TIMEOUT
from tests.support.patience import until, within
from tests.support.running import COMMAND, FAULTY_SERVER, Running, alive, running

CLOUD_RUN = 10
"""Seconds after SIGTERM that Cloud Run ends an instance."""


def stopping(finish_within: int, exit_within: float) -> dict[str, str]:
    """Variables of a faulty server that has so many seconds for its requests, and for everything, once it stops."""
    constants = {
        "graph.server.run.GRACEFUL_SHUTDOWN_TIMEOUT": finish_within,
        "graph.server.run.FORCED_EXIT_TIMEOUT": exit_within,
    }
    return {"ALTERED_CONSTANTS": json.dumps(constants)}


def post(server: Running, query: str) -> httpx2.Response:
    return httpx2.post(f"{server.url}/graphql", json={"query": query}, timeout=within())


def wait_until_running(server: Running) -> None:
    until(lambda: "provenance_http_requests_in_flight 2.0" in server.get("/metrics").text)


def refuses(server: Running) -> bool:
    """Whether a new connection is refused."""
    try:
        post(server, "{hello}")
    except httpx2.ConnectError:
        return True
    except httpx2.TransportError:
        # It was let in at the very moment at which nobody is any more.
        return False
    return False


def test_the_bounds_leave_time_for_closing_the_database() -> None:
    assert GRACEFUL_SHUTDOWN_TIMEOUT + 2 <= FORCED_EXIT_TIMEOUT <= CLOUD_RUN - 1.5


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_running_request_is_answered_and_new_ones_are_refused(sent: signal.Signals, tmp_path: Path) -> None:
    env, gate = stopping(int(within()), within()), tmp_path / "gate"
    with running(*FAULTY_SERVER, env=env) as server, ThreadPoolExecutor() as threads:
        asking = threads.submit(post, server, f"{{held(path:{json.dumps(str(gate))})}}")
        wait_until_running(server)
        database = server.database_pid()

        server.process.send_signal(sent)
        until(lambda: refuses(server))
        gate.touch()
        answer = asking.result()
        code = server.process.wait(within())

        assert answer.json() == {"data": {"held": "done"}}
        assert code == 0
        assert not alive(database)
        assert "Traceback" not in server.log


def test_a_request_that_never_ends_does_not_keep_the_server() -> None:
    with running(*FAULTY_SERVER, env=stopping(1, within())) as server, ThreadPoolExecutor() as threads:
        asking = threads.submit(post, server, '{held(path:"/nowhere/at/all")}')
        wait_until_running(server)
        database = server.database_pid()

        server.stop()

        # It is not ended by force, which 70 would tell.
        assert server.process.wait(within()) == 0
        assert not alive(database)
        answer = asking.result()
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (503, "UNAVAILABLE")


def test_a_part_that_does_not_let_go_does_not_keep_the_server() -> None:
    with running(*FAULTY_SERVER, env=stopping(1, 2)) as server, ThreadPoolExecutor() as threads:
        database = server.database_pid()
        waiting = threads.submit(post, server, "{stuck(seconds:1000)}")
        until(lambda: "stuck" in server.log)

        server.stop()

        assert server.process.wait(within()) == 70
        assert "did not stop in time" in server.log
        assert isinstance(waiting.exception(), httpx2.RemoteProtocolError)
        until(lambda: not alive(database))


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

        until(lambda: not alive(database))
    with running(*COMMAND, "serve", directory=directory) as server:
        found = server.ask("{organisations{nodes{name}}}")

    assert found == {"organisations": {"nodes": [{"name": "Kept"}]}}
