"""An embedded database that is killed is started again; the server ends, with the reason, when that is in vain."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from documents.embedded_mongod.supervisor import MAX_RESTARTS
from tests.support.patience import until, within
from tests.support.running import COMMAND, Running, alive, running

CREATE = 'mutation{createOrganisation(input:{url:"https://%s.example",name:"%s"}){userErrors{code}}}'
READ = "{organisations{nodes{name}}}"
BACK = "the embedded database accepts writes again"
AGAIN = "the embedded database ended and is being restarted"


@contextmanager
def serving(fast_directory: Path, name: str, *options: str) -> Iterator[Running]:
    directory = fast_directory / name
    directory.mkdir()
    with running(*COMMAND, "serve", *options, directory=directory) as server:
        yield server


def kill_database(server: Running) -> int:
    pid = server.database_pid()
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid))
    return pid


def until_back(server: Running, killed: int) -> None:
    """Return when another database has taken the place of the killed one."""

    def back() -> bool:
        try:
            settled = server.log.count(AGAIN) == server.log.count(BACK)
            return settled and server.database_pid() != killed and server.get("/readyz").status_code == 200
        except ValueError:
            # The lock file is empty while the next one starts.
            return False

    until(back, shown=lambda: server.log)


@pytest.mark.timeout(within(300))
@pytest.mark.parametrize("options", [(), ("--workers", "2")])
def test_the_server_serves_again_what_was_written_before(fast_directory: Path, options: tuple[str, ...]) -> None:
    with serving(fast_directory, f"killed-{len(options)}", *options) as server:
        server.ask(CREATE % ("before", "Before"))
        ingesting = server.log.count("waiting for reports")

        for number in range(2):
            until_back(server, kill_database(server))
            server.ask(CREATE % (f"after-{number}", "After"))
        names = [node["name"] for node in server.ask(READ)["organisations"]["nodes"]]
        log = server.log
        pid = server.database_pid()

    assert sorted(names) == ["After", "After", "Before"]
    assert log.count(AGAIN) == 2
    assert "code=-9" in log
    assert ingesting <= 1
    assert server.process.returncode == 0
    until(lambda: not alive(pid))


@pytest.mark.timeout(within(600))
@pytest.mark.parametrize("options", [(), ("--workers", "2")])
def test_a_database_that_always_ends_ends_the_server_with_the_reason(
    fast_directory: Path, options: tuple[str, ...]
) -> None:
    with serving(fast_directory, f"ending-{len(options)}", *options) as server:
        for _ in range(MAX_RESTARTS):
            until_back(server, kill_database(server))
        kill_database(server)

        code = server.process.wait(within())

    assert code == 1
    last = server.directory.joinpath("log").read_text().splitlines()[-1]
    assert last.startswith(
        "The embedded database ended 6 times within 10 minutes, the last time with code -9. See mongod.log"
    )
    assert "Traceback" not in server.log


def test_a_database_that_cannot_start_again_ends_the_server_with_the_reason(fast_directory: Path) -> None:
    with serving(fast_directory, "unstartable") as server:
        database = server.directory / "data" / "database"
        (database / "db" / "WiredTiger.turtle").write_bytes(b"")
        kill_database(server)

        code = server.process.wait(within())

    assert code == 1
    assert "before it was ready" in server.log.splitlines()[-1]
    assert "Traceback" not in server.log
