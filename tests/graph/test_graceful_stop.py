"""A server that is told to stop finishes what runs, refuses what is new, and ends in time."""

import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.graph.serving import Served, serving

EXIT_WITHIN = 8.5


def wait_until_running(server: Served) -> None:
    deadline = time.monotonic() + 10
    while "provenance_http_requests_in_flight 2.0" not in server.get("/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_running_request_is_answered_and_new_ones_are_refused(sent: signal.Signals) -> None:
    with serving("-m", "tests.graph.toy") as server, ThreadPoolExecutor() as threads:
        running = threads.submit(httpx2.post, f"{server.url}/graphql", json={"query": "{slow(seconds:3)}"}, timeout=20)
        wait_until_running(server)

        server.process.send_signal(sent)
        began = time.monotonic()
        time.sleep(0.5)
        with pytest.raises(httpx2.ConnectError):
            httpx2.post(f"{server.url}/graphql", json={"query": "{hello}"})
        answer = running.result()
        code = server.process.wait(EXIT_WITHIN)

        assert answer.json() == {"data": {"slow": "done"}}
        assert time.monotonic() - began < EXIT_WITHIN
        assert code == 0
        assert server.out.splitlines()[1:] == ["closed", "returned"]


def test_a_request_that_never_ends_does_not_keep_the_server() -> None:
    with serving("-m", "tests.graph.toy") as server, ThreadPoolExecutor() as threads:
        running = threads.submit(httpx2.post, f"{server.url}/graphql", json={"query": "{slow(seconds:60)}"}, timeout=20)
        wait_until_running(server)

        server.stop()
        server.process.wait(EXIT_WITHIN)

        assert "closed" in server.out
        answer = running.result()
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (503, "UNAVAILABLE")


def test_a_part_that_does_not_let_go_does_not_keep_the_server() -> None:
    with serving("-m", "tests.graph.toy", "--hang") as server:
        server.stop()

        assert server.process.wait(EXIT_WITHIN) == 70
        assert "did not stop in time" in server.log


def test_an_address_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        message = f"Cannot listen on 127.0.0.1 port {port}: Address already in use"
        with pytest.raises(AssertionError, match=message), serving("-m", "tests.graph.toy", env={"PORT": port}):
            pass
