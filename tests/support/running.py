"""The real server as a process of its own, spoken to over real HTTP."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from graph.errors import OVERLOADED
from tests.support.forking import Forked, Limits, program_of
from tests.support.patience import BOUND, until, within

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (str(Path(sys.executable).parent / "provenance-graph"),)
"""The command as it is installed."""
FAULTY_SERVER = (sys.executable, "-m", "tests.support.faulty_server")
"""A server with some more fields, see tests/support/faulty_server.py."""

GRAPHQL_JSON = "application/graphql-response+json"
PLAIN: Any = {"trust_env": False, "verify": False}
"""Options for clients of servers on this machine: without certificates, which take longer to load than an answer."""
ADMIN_TOKEN = "an-administrators-token-for-tests-0123456789"


Process = subprocess.Popen[bytes] | Forked


class Running:
    """A server, and what it wrote."""

    def __init__(self, process: Process, directory: Path) -> None:
        self.process = process
        self.directory = directory
        self.url = ""
        self.token = ADMIN_TOKEN
        self.client = httpx2.Client(**PLAIN, timeout=within())

    @property
    def log(self) -> str:
        """Everything it wrote so far."""
        return (self.directory / "log").read_text()

    def wait_until_serving(self, seconds: float = BOUND) -> None:
        """Learn address and token from what it says once it serves."""
        address = re.compile(r"GraphQL:? +(http\S+)/graphql|\"address\": \"(http[^\"]+)\"")
        until(lambda: address.search(self.log) or self.process.poll() is not None, seconds, lambda: self.log)
        found = address.search(self.log)
        assert found is not None, self.log
        assert self.process.poll() is None, self.log
        self.url = found[1] or found[2]
        if token := re.search(r"Admin token:? +(\S+)", self.log):
            self.token = token[1]

    def post(self, query: Any, variables: Any = None, *, accept: str = GRAPHQL_JSON, **headers: str) -> httpx2.Response:
        body = {"query": query} if variables is None else {"query": query, "variables": variables}
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.post(f"{self.url}/graphql", json=body, headers={"accept": accept, **headers})

    def ask(self, query: str, variables: Any = None) -> Any:
        """The data of an administrator's request that has no errors, asked again while a busy server refuses it."""
        answer: dict[str, Any] = until(lambda: self._unless_overloaded(query, variables))
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def _unless_overloaded(self, query: str, variables: Any) -> Any:
        answer = self.post(query, variables, authorization=f"Bearer {self.token}").json()
        return None if is_overloaded(answer) else answer

    def send(self, body: Any, content_type: str | None = "application/json", **headers: str) -> httpx2.Response:
        sent = {"accept": GRAPHQL_JSON, **headers} | ({"content-type": content_type} if content_type else {})
        return self.client.post(f"{self.url}/graphql", content=body, headers=sent)

    def get(self, path: str, **options: Any) -> httpx2.Response:
        return self.client.get(f"{self.url}{path}", **options)

    def cpu(self) -> float:
        """Seconds of CPU that the server has used so far, by its own account (of a faulty server)."""
        return float(self.post("{cpu}").json()["data"]["cpu"])

    def database_pid(self) -> int:
        """The process id of its embedded database."""
        path = self.directory / "data" / "database" / "db" / "mongod.lock"
        return int(path.read_text())

    @contextmanager
    def altering(self, constant: str, value: float) -> Iterator[None]:
        """Another value for a constant of the code (of a faulty server) within the block."""
        change = "mutation ($constant: String!, $value: Float!) { alter(constant: $constant, value: $value) }"
        before = self.ask(change, {"constant": constant, "value": value})["alter"]
        try:
            yield
        finally:
            self.ask(change, {"constant": constant, "value": before})

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)


def is_overloaded(answer: Any) -> bool:
    """Whether an answer is the refusal of a server that is busy, which has done nothing yet."""
    return any(error["extensions"]["code"] == OVERLOADED for error in answer.get("errors", []))


@contextmanager
def running(
    *command: str,
    env: dict[str, str] | None = None,
    directory: Path | None = None,
    wait: bool = True,
    limits: Limits | None = None,
) -> Iterator[Running]:
    """A server started by `command`, on a free port and a data directory of its own; stopped at the end of the block.

    With a `directory` what it keeps outlives the block. `limits` are those of our own commands.
    """
    with tempfile.TemporaryDirectory(prefix="provenance-running-", dir=memory(), ignore_cleanup_errors=True) as made:
        place = directory or Path(made)
        server = Running(start(command, environment(place, env), place / "log", limits), place)
        try:
            if wait:
                server.wait_until_serving()
            yield server
        finally:
            server.client.close()
            end(server.process)


def start(command: tuple[str, ...], env: dict[str, str], log: Path, limits: Limits | None = None) -> Process:
    """Start a command whose output goes to `log`. Our own commands are forks of a process that has loaded them."""
    log.write_bytes(b"")
    if command[:1] == COMMAND or program_of(command):
        return Forked(command, cwd=ROOT, env=env, stdout=log, limits=limits)
    assert not limits, f"{command} is not started with limits"
    with log.open("ab") as output:
        return subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT)


def environment(place: Path, env: dict[str, str] | None = None) -> dict[str, str]:
    """Variables for a command that keeps its data under `place`, whatever is set for this process."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PROVENANCE_")}
    defaults = {"HOST": "127.0.0.1", "PORT": "0", "PROVENANCE_DATA_DIR": str(place / "data"), "COLUMNS": "120"}
    return clean | defaults | (env or {})


def on_database(uri: str, name: str) -> dict[str, str]:
    """Variables of a server on a database of its own on a server that runs already."""
    return {
        "PROVENANCE_DATABASE_URL": uri,
        "PROVENANCE_DATABASE_NAME": name,
        "PROVENANCE_ADMIN_TOKEN": ADMIN_TOKEN,
    }


def in_production(uri: str, name: str) -> dict[str, str]:
    """Variables of a server in production, on a database of its own that is migrated already."""
    env = on_database(uri, name) | {"PROVENANCE_ENV": "production"}
    migrated = command("migrate", env=environment(ROOT, env))
    assert migrated.returncode == 0, migrated.stderr
    return env


def command(*arguments: str, env: dict[str, str], seconds: float = BOUND) -> "subprocess.CompletedProcess[str]":
    """A command that ends by itself: its exit code and what it printed."""
    return completed([*COMMAND, *arguments], env, seconds)


def completed(words: list[str], env: dict[str, str], seconds: float = BOUND) -> "subprocess.CompletedProcess[str]":
    """A command, or a program of the tests, that has ended: its exit code and what it printed."""
    with tempfile.TemporaryDirectory(prefix="provenance-command-", dir=memory()) as made:
        stdout, stderr = Path(made) / "stdout", Path(made) / "stderr"
        process = Forked(words, cwd=ROOT, env=env, stdout=stdout, stderr=stderr)
        try:
            code = process.wait(within(seconds))
        finally:
            process.kill()
        return subprocess.CompletedProcess(words, code, stdout.read_text(), stderr.read_text())


def end(process: Process) -> None:
    """Stop a process, by force when it has to be."""
    process.terminate()
    try:
        process.wait(within(30))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and is not yet collected by its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def memory() -> Path | None:
    """A file system in memory, where the machine has one."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() and os.access(shared, os.W_OK) else None
