"""A worker tells Prometheus what it claims, how that ends, and what fails on the way."""

import json
import re
import socket

import httpx2
import pytest

from graph.clients.worker.metrics import Ending, WorkerMetrics, serve_metrics
from graph.clients.worker.options import ConfigurationError
from tests.support.patience import until
from tests.support.running import COMMAND, PLAIN
from tests.support.working import Lab


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def told(port: int) -> dict[str, float]:
    """The worker's own metrics, without the times of creation; none before it has started."""
    try:
        text = httpx2.get(f"http://127.0.0.1:{port}/metrics", **PLAIN).text
    except httpx2.ConnectError:
        return {}
    rows = re.findall(r"^(provenance_worker_\S+) (\S+)$", text, re.MULTILINE)
    return {name: float(value) for name, value in rows if "_created" not in name}


def test_claims_endings_and_uploads_are_counted(lab: Lab, unused_port: int) -> None:
    lab.an_execution({"key": "good"}, {"key": "bad", "dependsOn": []})
    command = 'test "$PROVENANCE_STEP_KEY" = good || exit 3; printf 12345 > "$PROVENANCE_OUTPUT_DIR/five"'

    with lab.working(command, "--metrics-port", str(unused_port)):
        until(lambda: sum(n for name, n in told(unused_port).items() if "completions_total" in name) == 2)
        found = told(unused_port)

    assert found['provenance_worker_claims_total{kind="step"}'] == 2
    assert found['provenance_worker_completions_total{kind="step",status="succeeded"}'] == 1
    assert found['provenance_worker_completions_total{kind="step",status="failed"}'] == 1
    assert found['provenance_worker_activity_seconds_count{kind="step",status="succeeded"}'] == 1
    assert found["provenance_worker_uploaded_bytes_total"] == 5
    assert found["provenance_worker_running"] == 0
    assert found["provenance_worker_paused"] == 0


def test_a_step_that_is_handed_back_counts_as_such() -> None:
    metrics = WorkerMetrics()

    metrics.count_end("step", Ending.HANDED_BACK, 20)

    labels = {"kind": "step", "status": "handed_back"}
    assert metrics.registry.get_sample_value("provenance_worker_completions_total", labels) == 1
    assert metrics.registry.get_sample_value("provenance_worker_activity_seconds_sum", labels) == 20


def test_a_port_that_is_taken_is_told_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(ConfigurationError) as refused, serve_metrics("127.0.0.1", port):
            pass

    assert str(refused.value) == f"The metrics cannot be served on 127.0.0.1 port {port}: Address already in use."


def test_lines_are_objects_when_json_is_asked_for(lab: Lab) -> None:
    lab.an_execution({"key": "only"})

    said = lab.run("true", "--log-format", "json", program=(*COMMAND, "work"))

    lines = [json.loads(line) for line in said.splitlines()]
    assert {tuple(line) for line in lines} == {("severity", "message", "time", "logger")}
    assert lines[-1]["message"] == "step only (attempt 1): succeeded. Log lines: 0, files: 0."
    assert (lines[-1]["severity"], lines[-1]["logger"]) == ("INFO", "graph.worker")
