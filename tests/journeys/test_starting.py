"""A start that fails says in a sentence what to do, and leaves no process running."""

import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from documents.embedded_mongod.server import EmbeddedMongo
from graph.server.database_errors import NO_REPLICA_SET
from tests.failover.replica_set import Member
from tests.support.patience import until, within
from tests.support.running import COMMAND, Running, alive, command, end, environment, on_database, running


def children(pid: int) -> list[int]:
    """The processes that a process has started and not yet collected."""
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for thread in threads for child in thread.read_text().split()]


def refusal(*arguments: str, env: dict[str, str]) -> str:
    """Run a command that exits with 1 and without a traceback; returns its message."""
    done = command(*arguments, env=env)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "eighty"),
        ("PORT", "70000"),
        ("PROVENANCE_DATABASE_URL", "postgres://admin:hunter2-canary@db.example/x"),
        ("PROVENANCE_ADMIN_TOKEN", "hunter2-canary"),
        ("PROVENANCE_ENV", "staging"),
        ("PROVENANCE_LOG_LEVEL", "loud"),
        ("PROVENANCE_ALLOWED_ORIGINS", "lab.example"),
        ("PROVENANCE_WORKERS", "-1"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, variable: str, value: str) -> None:
    said = refusal("serve", env=environment(tmp_path, {variable: value}))

    assert said.startswith(f"{variable} ")
    assert "allowed: " in said
    assert "hunter2" not in said


def test_production_does_not_start_on_an_embedded_database_nor_with_sample_data(tmp_path: Path) -> None:
    env = environment(tmp_path, {"PROVENANCE_ENV": "production"})
    elsewhere = env | {"PROVENANCE_DATABASE_URL": "mongodb://127.0.0.1:1"}

    assert refusal("serve", env=env) == "PROVENANCE_DATABASE_URL must be set when PROVENANCE_ENV=production.\n"
    assert refusal("demo", env=elsewhere) == (
        "demo stores sample data, so it does not run with PROVENANCE_ENV=production.\n"
    )


def test_a_second_server_on_the_same_data_directory_is_refused(server: Running) -> None:
    said = refusal("serve", env=environment(server.directory))

    assert f"is in use by process {server.process.pid}." in said
    assert "PROVENANCE_DATA_DIR" in said
    assert server.ask("{viewer{role}}") == {"viewer": {"role": "ADMIN"}}


def test_a_taken_port_is_named_before_the_database_starts(fast_directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        directory = fast_directory / "taken"

        said = refusal("serve", env=environment(directory, {"PORT": str(port)}))

    assert said == f"Cannot listen on 127.0.0.1 port {port}: Address already in use. Set HOST or PORT to another.\n"
    assert not (directory / "data" / "database").exists()


@pytest.mark.parametrize("arguments", [("serve",), ("migrate",), ("token", "list")])
def test_a_database_that_does_not_answer_is_told_within_seconds(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    url = "mongodb://admin:hunter2-canary@127.0.0.1:1/?authSource=admin"
    began = time.monotonic()

    said = refusal(*arguments, env=environment(tmp_path, {"PROVENANCE_DATABASE_URL": url}))

    assert said == (
        "The database at 127.0.0.1:1 does not answer: nothing listens there. "
        "Is it running, and is PROVENANCE_DATABASE_URL right?\n"
    )
    # 5 s for the database; the rest is for Python to start on a busy machine. The driver by itself waits for 30 s.
    assert time.monotonic() - began < within(30)


def test_wrong_credentials_are_told_without_them(mongod: EmbeddedMongo, tmp_path: Path) -> None:
    password = mongod.uri.split(":")[2].split("@")[0]
    url = mongod.uri.replace(password, "hunter2-canary")

    said = refusal("serve", env=environment(tmp_path, {"PROVENANCE_DATABASE_URL": url}))

    assert said == "The database refused the user name or password in PROVENANCE_DATABASE_URL.\n"


def test_a_database_without_transactions_is_refused(fast_directory: Path) -> None:
    commands = [("serve",), ("migrate",), ("migrate", "--dry-run"), ("token", "list")]
    alone = Member(fast_directory / "alone", 0, replica_set=False)
    env = on_database(f"mongodb://{alone.address}", "alone")
    try:
        alone.start()

        said = [refusal(*words, env=environment(fast_directory, env)) for words in commands]
        with alone.admin() as admin:
            created = admin.alone.list_collection_names()
    finally:
        alone.end()

    assert [text.splitlines()[-1] for text in said] == [NO_REPLICA_SET] * len(commands)
    assert created == []


def test_ctrl_c_while_the_database_starts_leaves_nothing_running(fast_directory: Path) -> None:
    directory = fast_directory / "interrupted"
    directory.mkdir()
    with running(*COMMAND, "serve", directory=directory, wait=False) as starting:
        (database, *_) = until(lambda: children(starting.process.pid))

        starting.process.send_signal(signal.SIGINT)

        assert starting.process.wait(within()) != 0
        assert "Traceback" not in starting.log
        until(lambda: not alive(database))


def test_with_a_database_of_its_own_the_address_is_told_and_no_token_is_made(
    mongod: EmbeddedMongo, tmp_path: Path
) -> None:
    env = environment(tmp_path, on_database(mongod.uri, "test_announced"))
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*COMMAND, "serve"], env=env, stdout=log, stderr=subprocess.STDOUT)
    try:
        served = Running(process, tmp_path)
        served.wait_until_serving()

        assert served.get("/readyz").json() == {"status": "ready"}
        assert "token" not in served.log
        assert not (tmp_path / "data").exists()
    finally:
        served.client.close()
        end(process)
    assert process.returncode == 0
