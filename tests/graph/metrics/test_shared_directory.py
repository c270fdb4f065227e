"""Processes share their metrics by files, and what a dead one has counted stays counted."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from graph.metrics.families import Counter, FamilySnapshot, Gauge
from graph.metrics.shared_directory import SharedDirectory
from graph.server.web_processes import MIN_LIFETIME
from tests.graph.server.test_web_processes import age, children
from tests.support.patience import until
from tests.support.running import COMMAND, PLAIN, Running, on_database, running

QUERY = {"query": "query Shared{__typename}"}
ANSWERS = re.compile(
    r'^provenance_graphql_operation_answers_total\{[^}]*operation="Shared"[^}]*\} (\S+)$', re.MULTILINE
)


@pytest.fixture
def directory() -> Iterator[SharedDirectory]:
    made = SharedDirectory()
    try:
        yield made
    finally:
        made.remove()


def snapshots(refused: int, opened: int) -> list[FamilySnapshot]:
    counter, gauge = Counter("refused", "Refused."), Gauge("open", "Open.")
    for _ in range(refused):
        counter.inc()
    gauge.set(opened)
    return [counter.snapshot(), gauge.snapshot()]


def values(directory: SharedDirectory) -> dict[str, object]:
    return {family.name: family.values.get(()) for family in directory.read()}


def write_as(directory: SharedDirectory, pid: int, families: list[FamilySnapshot], patch: pytest.MonkeyPatch) -> None:
    with patch.context() as patched:
        patched.setattr(os, "getpid", lambda: pid)
        directory.write(families)


def test_what_a_dead_process_counted_stays_and_what_it_held_goes(
    directory: SharedDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for pid, refused in ((1, 5), (2, 7), (3, 11)):
        write_as(directory, pid, snapshots(refused, 1), monkeypatch)
    before = values(directory)

    directory.retire(1)
    directory.retire(2)
    directory.retire(2)

    assert before == {"refused": 23, "open": 3}
    assert values(directory) == {"refused": 23, "open": 1}
    assert sorted(file.name for file in directory.path.glob("*.json")) == ["3.json", "ended.json"]


def test_nobody_else_may_read_the_directory(directory: SharedDirectory) -> None:
    assert directory.path.stat().st_mode & 0o777 == 0o700


def ask(server: Running) -> None:
    """Ask on a connection of its own, which any of the processes may accept."""
    assert httpx2.post(f"{server.url}/graphql", json=QUERY, **PLAIN).status_code == 200


def counted(server: Running) -> float:
    return sum(map(float, ANSWERS.findall(httpx2.get(f"{server.url}/metrics", **PLAIN).text)))


def processes(server: Running) -> float:
    found = re.search(r"^provenance_processes (\S+)$", httpx2.get(f"{server.url}/metrics", **PLAIN).text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_one_scrape_tells_of_all_processes_and_a_death_takes_nothing_away(
    mongod: EmbeddedMongo, tmp_path: Path
) -> None:
    env = on_database(mongod.uri, "test_shared_metrics") | {"TMPDIR": str(tmp_path)}
    with running(*COMMAND, "serve", "--workers", "2", env=env) as server:
        until(lambda: processes(server) == 2)
        for _ in range(20):
            ask(server)
        until(lambda: counted(server) == 20)

        killed = min(children(server.process.pid))
        until(lambda: age(killed) > MIN_LIFETIME)
        os.kill(killed, signal.SIGKILL)
        until(lambda: killed not in children(server.process.pid) and len(children(server.process.pid)) == 2)
        until(lambda: processes(server) == 2)

        assert counted(server) == 20
        server.stop()
        assert server.process.wait(30) == 0

    assert list(tmp_path.glob("provenance-metrics-*")) == []
