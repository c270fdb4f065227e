"""The embedded database: a `mongod` as a replica set of one, which ends with the process that started it.

Layout of its directory: `db/` (MongoDB's files), `keyfile` and `password` (readable by the owner alone), `lock` (held
while a process owns the directory), `address` (where the database is found while it runs), `shared` (held by other
processes that use it), `version` (of the server that used it last), the logs `mongod.log` and `mongod.log.1`, and the
server's output, `mongod.out`.
"""

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from documents.embedded_mongod import errors
from documents.embedded_mongod.address import Address, remove_address, write_address
from documents.embedded_mongod.directory import prepare, prepare_again, read_secret
from documents.embedded_mongod.errors import EmbeddedError
from documents.embedded_mongod.process import Process, find_binary, launch
from documents.embedded_mongod.replica_set import REPLICA_SET, set_up, uri_of
from documents.embedded_mongod.supervisor import EmbeddedSupervisor

__all__ = ["EmbeddedError", "EmbeddedMongo"]

START_TIMEOUT = 60.0
SHUTDOWN_TIMEOUT = 8.0
PREDECESSOR_TIMEOUT = 20.0
MAX_PORT_ATTEMPTS = 5


def _ignore(_: str) -> None:
    pass


class EmbeddedMongo:
    """A running embedded database. Use it as a context manager, or call `stop`."""

    def __init__(self, server: "_Server", process: Process, lock: int, port: int) -> None:
        self._server = server
        self._process = process
        self._lock: int | None = lock
        self._supervisor: EmbeddedSupervisor | None = None
        self.port = port
        self.uri = uri_of(port, read_secret(server.data_dir / "password"))

    @classmethod
    def start(
        cls,
        data_dir: Path,
        *,
        port: int | None = None,
        test_commands: bool = False,
        progress: Callable[[str], None] = _ignore,
    ) -> Self:
        """Start on `data_dir`, which is created if absent, and return when the server takes writes; `port` None picks a
        free one.

        Raises EmbeddedError. `test_commands` allows failpoints. The server ends when the calling process does.
        """
        if os.name != "posix":
            raise EmbeddedError(errors.no_binary())
        server = _Server(find_binary(), data_dir.absolute(), test_commands, progress)
        lock = prepare(server.data_dir)
        try:
            progress(f"Starting the embedded database in {server.data_dir}")
            process, port, version = server.start(port)
        except BaseException:
            os.close(lock)
            raise
        progress(f"MongoDB {version} listens on 127.0.0.1:{port}")
        return cls(server, process, lock, port)

    def supervise(self, lost: Callable[[EmbeddedError], None]) -> None:
        """Restart the server at the same port whenever it ends by itself.

        `lost` is called, in a thread of its own, when a restart has failed or too many were needed.
        """
        self._supervisor = EmbeddedSupervisor(self._process, self._start_again, lost)
        self._supervisor.start()

    def _start_again(self) -> Process:
        prepare_again(self._server.data_dir)
        self._process, _, _ = self._server.start(self.port)
        return self._process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server still runs: another process may have killed it."""
        return self._process.exit_code is None

    def stop(self) -> None:
        """Shut down cleanly, by force after 8 seconds, and release the directory. A second call does nothing."""
        if self._lock is None:
            return
        if self._supervisor:
            self._supervisor.dismiss(SHUTDOWN_TIMEOUT)
        remove_address(self._server.data_dir)
        self._process.stop(SHUTDOWN_TIMEOUT)
        os.close(self._lock)
        self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


@dataclass(frozen=True)
class _Server:
    """The settings with which the server is started and restarted."""

    binary: Path
    data_dir: Path
    test_commands: bool
    progress: Callable[[str], None]

    def start(self, fixed_port: int | None) -> tuple[Process, int, str]:
        """Start a server; returns it once it takes writes, with its port and its version. Raises EmbeddedError."""
        process, port = self._launch(fixed_port)
        try:
            primary = set_up(port, read_secret(self.data_dir / "keyfile"), read_secret(self.data_dir / "password"))
            (self.data_dir / "version").write_text(primary.version + "\n")
            write_address(self.data_dir, Address(os.getpid(), port, primary.process_id))
        except BaseException:
            process.stop(SHUTDOWN_TIMEOUT)
            raise
        return process, port, primary.version

    def _launch(self, fixed_port: int | None) -> tuple[Process, int]:
        """Launch a server; returns it once it listens, with its port. Another free port is tried where one was lost."""
        ports_lost = 0
        deadline = time.monotonic() + PREDECESSOR_TIMEOUT
        while True:
            port = _free_port() if fixed_port is None else fixed_port
            process = launch(_command(self.binary, self.data_dir, port, self.test_commands), self.data_dir)
            ended = _wait_until_listening(process, self.binary, self.data_dir, port)
            if ended is None:
                return process, port
            if ended.code == errors.PORT_TAKEN and fixed_port is None and ports_lost < MAX_PORT_ATTEMPTS:
                ports_lost += 1
            # This process holds the lock, so what uses the directory is a killed owner's server, which is about to end.
            elif ended.code == errors.DIRECTORY_IN_USE and time.monotonic() < deadline:
                self.progress("Waiting for the previous server to finish")
                time.sleep(0.5)
            else:
                raise errors.explain(ended)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _command(binary: Path, data_dir: Path, port: int, test_commands: bool) -> list[str]:
    parameters = {
        # Set-up authenticates with the key file, so there is never a moment when anyone may create the first user.
        "enableLocalhostAuthBypass": "false",
        "diagnosticDataCollectionEnabled": "false",
        # A replica set of one member has no other member to hand over to.
        "shutdownTimeoutMillisForSignaledShutdown": "0",
    } | ({"enableTestCommands": "1"} if test_commands else {})
    return [
        *(str(binary), "--dbpath", str(data_dir / "db"), "--logpath", str(data_dir / "mongod.log"), "--logappend"),
        *("--bind_ip", "127.0.0.1", "--port", str(port), "--nounixsocket", "--quiet", "--noscripting"),
        *("--replSet", REPLICA_SET, "--keyFile", str(data_dir / "keyfile"), "--oplogSize", "256"),
        *("--networkMessageCompressors", "disabled", "--wiredTigerCacheSizeGB", "0.25"),
        # Three journal files of 100 MB, written at each start, would be 300 MB of disk and 0.35 s of CPU.
        *("--wiredTigerEngineConfigString", "log=(file_max=16MB,prealloc=false)"),
        *(argument for item in parameters.items() for argument in ("--setParameter", "=".join(item))),
    ]


def _wait_until_listening(process: Process, binary: Path, data_dir: Path, port: int) -> errors.ExitedProcess | None:
    """Wait until the server listens, and return None, or its exit when it ended before.

    Its log tells: another server may answer at the port.
    """
    log = data_dir / "mongod.log"
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        code = process.exit_code
        text = log.read_text(errors="replace") if log.exists() else ""
        if code is not None:
            return errors.ExitedProcess(binary, data_dir, port, code, process.output(), text)
        if '"Waiting for connections"' in text:
            return None
        time.sleep(0.02)
    process.stop(SHUTDOWN_TIMEOUT)
    raise EmbeddedError(f"{binary} was not ready after {START_TIMEOUT:.0f} s. See {log}, {errors.ELSEWHERE}.")
