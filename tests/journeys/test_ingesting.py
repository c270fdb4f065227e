"""Uploaded reports become jobs: beside the server, or by workers on any machine."""

import io
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from documents.embedded_mongod.server import EmbeddedMongo
from graph.settings import Settings
from tests.bench.reports import write_report
from tests.support.forking import Forked
from tests.support.galaxies import Galaxy, a_report
from tests.support.patience import BOUND, until, within
from tests.support.running import COMMAND, ROOT, Running, alive, command, end, environment, on_database, running

JOBS = 12_000
"""Of a report whose ingestion takes longer than it takes to see that it runs, and to stop it."""
INGESTIONS = """query ($id: ID!) { instance(id: $id) { ingestions(first: 10) { nodes {
  status attempt handedBack progress { completed total } counts { jobs rejected } } } } }"""


@pytest.fixture(scope="module")
def serving() -> Iterator[Running]:
    """A server on a database of its own, as on a laptop."""
    with running(*COMMAND, "serve") as server:
        yield server


@pytest.fixture(scope="module")
def lab(mongod: EmbeddedMongo) -> Iterator[Running]:
    """A server on a database that it was told of, beside which no worker runs."""
    with running(*COMMAND, "serve", env=on_database(mongod.uri, "test_ingesting")) as server:
        yield server


@pytest.fixture
def variables(lab: Running, mongod: EmbeddedMongo) -> dict[str, str]:
    """The environment variables of a worker for the lab."""
    return environment(lab.directory, on_database(mongod.uri, "test_ingesting"))


def ingestions(galaxy: Galaxy) -> list[Any]:
    found: list[Any] = galaxy.server.ask(INGESTIONS, {"id": galaxy.id})["instance"]["ingestions"]["nodes"]
    return found


def ended(galaxy: Galaxy) -> bool:
    return all(one["status"] == "SUCCEEDED" for one in ingestions(galaxy))


def workers_of(server: Running) -> list[int]:
    """The processes of the ingest workers beside a server."""
    text = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    pids = [int(pid) for one in text for pid in one.read_text().split()]
    return [pid for pid in pids if b"graph.server.ingest_supervisor" in command_line(pid)]


def command_line(pid: int) -> bytes:
    """The command line of a process, empty if it has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def test_an_upload_is_ingested_beside_the_server_within_seconds(serving: Running) -> None:
    galaxy = Galaxy.new(serving)

    assert galaxy.upload(a_report()).status_code == 200

    until(lambda: ended(galaxy), shown=lambda: serving.log)
    counts = {"jobs": "2", "rejected": "0"}
    progress = {"completed": "2", "total": "2"}
    assert ingestions(galaxy) == [
        {"status": "SUCCEEDED", "attempt": 1, "handedBack": 0, "progress": progress, "counts": counts}
    ]


def test_a_worker_beside_the_server_that_dies_is_started_again(serving: Running) -> None:
    galaxy = Galaxy.new(serving)
    (before,) = workers_of(serving)

    os.kill(before, signal.SIGKILL)
    until(lambda: workers_of(serving) not in ([], [before]), shown=lambda: serving.log)

    galaxy.upload(a_report())
    until(lambda: ended(galaxy), shown=lambda: serving.log)
    assert "an ingest worker ended and is being restarted" in serving.log


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_the_workers_beside_a_server_end_with_it(sent: signal.Signals, mongod: EmbeddedMongo) -> None:
    env = on_database(mongod.uri, "test_beside") | {"PROVENANCE_WORKERS": "2"}
    with running(*COMMAND, "serve", env=env) as server:
        until(lambda: server.log.count("waiting for reports") == 2, shown=lambda: server.log)
        workers = workers_of(server)

        server.process.send_signal(sent)

        code = server.process.wait(within())
        until(lambda: not any(alive(pid) for pid in workers), shown=lambda: server.log)
        assert (len(workers), code) == (2, 0 if sent == signal.SIGTERM else -sent)
        assert "Traceback" not in server.log


@pytest.mark.timeout(within(300))
def test_what_a_stopped_server_was_ingesting_is_gone_on_with_by_the_next_one(tmp_path: Path) -> None:
    """Without a wait for its lease to expire: it was handed back."""
    report = io.BytesIO()
    write_report(report, JOBS)
    with running(*COMMAND, "serve", directory=tmp_path) as server:
        galaxy = Galaxy.new(server)
        galaxy.upload(report.getvalue())
        until(lambda: ingestions(galaxy)[0]["status"] == "RUNNING", shown=lambda: server.log)
        server.stop()
        code = server.process.wait(within())
        said = server.log
    with running(*COMMAND, "serve", directory=tmp_path) as server:
        again = Galaxy(server, galaxy.id, galaxy.uuid, galaxy.key)
        until(lambda: ended(again), 2 * BOUND, lambda: server.log)
        (ingestion,) = ingestions(again)
    with EmbeddedMongo.start(tmp_path / "data" / "database") as kept, MongoClient[dict[str, Any]](kept.uri) as client:
        parts = list(client[Settings().database_name].ingestionParts.find())

    assert (code, "handed back" in said) == (0, True)
    assert [(part["attempt"], part["handed_back"]) for part in parts] == [(2, 1)]
    assert ingestion["counts"] == {"jobs": str(JOBS), "rejected": "0"}


def test_no_worker_runs_beside_a_server_on_a_database_that_it_was_told_of(lab: Running) -> None:
    assert workers_of(lab) == []


def test_a_command_ingests_what_waits_and_ends(lab: Running, variables: dict[str, str]) -> None:
    galaxy = Galaxy.new(lab)
    for _ in range(3):
        galaxy.upload(a_report())

    done = command("work", "--ingest", "--until-idle", "--name", "a-laptop", env=variables)

    assert done.returncode == 0, done.stderr
    assert [one["status"] for one in ingestions(galaxy)] == ["SUCCEEDED"] * 3
    assert len(re.findall("ingesting an archive", done.stderr)) == 3


def test_a_command_that_is_told_to_stop_ends_at_once_and_well(variables: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    worker = Forked([*COMMAND, "work", "--ingest"], cwd=ROOT, env=variables, stdout=log)
    try:
        until(lambda: "waiting for reports" in log.read_text())
        worker.send_signal(signal.SIGTERM)

        assert worker.wait(within()) == 0
    finally:
        end(worker)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--ingest", "--command", "true"], "Only --name, --once, --until-idle and --poll may be given with it."),
        ([], "Give the command to run for each step or transform."),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = command("work", *arguments, env=environment(tmp_path))

    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())


def test_a_worker_without_a_bucket_does_not_begin(mongod: EmbeddedMongo, tmp_path: Path) -> None:
    env = environment(tmp_path, on_database(mongod.uri, "test_no_bucket") | {"PROVENANCE_ENV": "production"})

    done = command("work", "--ingest", env=env)

    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        1,
        "PROVENANCE_BUCKET must be set: without it there are no reports to ingest.",
    )
