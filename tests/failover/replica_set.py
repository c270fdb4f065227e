"""A replica set of three real `mongod` on this machine, whose members can be killed, stopped, and told to step down."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from documents.embedded_mongod.process import Process, find_binary, launch
from tests.support.patience import until

NAME = "failover"
START_TIMEOUT, STOP_TIMEOUT = 60, 30
ELECTION_SECONDS = 2
"""The election timeout, much as Atlas sets it."""

Admin = MongoClient[dict[str, Any]]


class Member:
    """One server of the set."""

    def __init__(self, directory: Path, number: int, *, replica_set: bool = True) -> None:
        self.directory = directory / str(number)
        self.directory.mkdir(parents=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._options = ("--replSet", NAME, "--oplogSize", "128") if replica_set else ()
        self._process: Process | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, as it was."""
        (self.directory / "db").mkdir(exist_ok=True)
        command = [
            *(str(find_binary()), "--dbpath", str(self.directory / "db"), "--logpath", str(self.directory / "log")),
            *("--logappend", "--bind_ip", "127.0.0.1", "--port", str(self.port), "--nounixsocket", "--quiet"),
            *(*self._options, "--wiredTigerCacheSizeGB", "0.25"),
            *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        ]
        self._process = launch(command, self.directory)
        until(self.answers, START_TIMEOUT)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.signal(signal.SIGKILL)
        self.wait()

    def wait(self) -> None:
        """Return once it has ended."""
        until(lambda: self._process is not None and self._process.exit_code is not None, STOP_TIMEOUT)

    def end(self) -> None:
        """End it, whatever state it is in."""
        if self._process is not None and self._process.exit_code is None:
            self.signal(signal.SIGKILL)

    @contextmanager
    def admin(self) -> Iterator[Admin]:
        """A client of this member alone."""
        with Admin("127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=1000, timeoutMS=3000) as one:
            yield one

    def answers(self) -> bool:
        return bool(self.hello())

    def hello(self) -> dict[str, Any]:
        """The member's response to `hello`, empty if it does not answer."""
        try:
            with self.admin() as admin:
                return admin.admin.command("hello")
        except PyMongoError:
            return {}


class ReplicaSet:
    """The three."""

    def __init__(self, directory: Path) -> None:
        self.members = [Member(directory, number) for number in range(3)]

    @property
    def uri(self) -> str:
        addresses = ",".join(member.address for member in self.members)
        return f"mongodb://{addresses}/?replicaSet={NAME}"

    def start(self) -> None:
        """Start all of them, and have them elect a primary."""
        for member in self.members:
            member.start()
        config = {
            "_id": NAME,
            "members": [{"_id": number, "host": member.address} for number, member in enumerate(self.members)],
            "settings": {"electionTimeoutMillis": 1000 * ELECTION_SECONDS, "heartbeatIntervalMillis": 500},
        }
        with self.members[0].admin() as admin:
            admin.admin.command("replSetInitiate", config)
        self.settle()

    def end(self) -> None:
        """End all of them."""
        for member in self.members:
            member.end()

    def primary(self) -> Member:
        """The one that takes writes, once there is one."""
        found: list[Member] = []

        def is_found() -> bool:
            found[:] = [member for member in self.members if member.hello().get("isWritablePrimary")]
            return len(found) == 1

        until(is_found, START_TIMEOUT)
        return found[0]

    def settle(self) -> None:
        """Return once there is a primary and two that follow it."""

        def states() -> list[bool]:
            said = [member.hello() for member in self.members]
            return [bool(one.get("isWritablePrimary") or one.get("secondary")) for one in said]

        until(lambda: all(states()), START_TIMEOUT)
        self.primary()

    def step_down(self) -> None:
        """Tell the primary to let another one be it."""
        with self.primary().admin() as admin:
            admin.admin.command("replSetStepDown", 10, secondaryCatchUpPeriodSecs=5)
