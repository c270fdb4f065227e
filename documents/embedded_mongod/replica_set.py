"""Turning a fresh or moved `mongod` into a primary with one user."""

import time
from dataclasses import dataclass
from typing import Any

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError, ServerSelectionTimeoutError

from documents.embedded_mongod import errors
from documents.embedded_mongod.errors import EmbeddedError

REPLICA_SET = "provenance"
USER = "provenance"

NOT_YET_INITIALIZED = 94
USER_EXISTS = 51003
PRIMARY_TIMEOUT = 30.0
HELLO_TIMEOUT_MS = 3000

Admin = MongoClient[dict[str, Any]]


@dataclass(frozen=True)
class Primary:
    """A server that takes writes: its version, and the identifier that `mongod` draws each time it starts."""

    version: str
    process_id: str


def uri_of(port: int, password: str) -> str:
    """The URI with which the one user of the server at the port signs in."""
    return f"mongodb://{USER}:{password}@127.0.0.1:{port}/?replicaSet={REPLICA_SET}&authSource=admin"


def is_primary(port: int, process_id: str) -> bool:
    """Whether the process with this identifier listens at the port and is the primary of our set. Does not sign in."""
    stranger: Admin = MongoClient(
        "127.0.0.1",
        port,
        directConnection=True,
        serverSelectionTimeoutMS=HELLO_TIMEOUT_MS,
        socketTimeoutMS=HELLO_TIMEOUT_MS,
    )
    try:
        with stranger:
            hello = stranger.admin.command("hello")
    except PyMongoError:
        return False
    is_ours = hello.get("setName") == REPLICA_SET and _process_id(hello) == process_id
    return is_ours and bool(hello.get("isWritablePrimary"))


def _process_id(hello: dict[str, Any]) -> str | None:
    """The identifier of the process that replied; other software than MongoDB may give none."""
    topology_version = hello.get("topologyVersion") or {}
    return str(topology_version["processId"]) if "processId" in topology_version else None


def set_up(port: int, key: str, password: str) -> Primary:
    """Make the server a primary with one user. May be interrupted and repeated."""
    # The holder of the key file may sign in as the server itself, in any state of the replica set and without a user.
    admin: Admin = MongoClient(
        "127.0.0.1",
        port,
        directConnection=True,
        username="__system",
        password=key,
        authSource="local",
        authMechanism="SCRAM-SHA-256",
        serverSelectionTimeoutMS=10_000,
    )
    try:
        with admin:
            return _set_up_with_retries(admin, port, password)
    except PyMongoError as error:
        reason = str(error).partition(" (configured timeouts")[0]
        raise EmbeddedError(
            f"The embedded database started on port {port} but could not be set up: {reason}. "
            f"Start again, choose another PROVENANCE_DATA_DIR, {errors.ELSEWHERE}."
        ) from error


def _set_up_with_retries(admin: Admin, port: int, password: str) -> Primary:
    """Set up the server. Retries, because the server closes connections when its state changes,
    as after a crash."""
    deadline = time.monotonic() + PRIMARY_TIMEOUT
    while True:
        try:
            _configure(admin, f"127.0.0.1:{port}")
            _wait_until_primary(admin)
            _make_user(admin, password)
            process_id = _process_id(admin.admin.command("hello"))
            assert process_id is not None, "MongoDB has it since version 4.4"
            return Primary(str(admin.admin.command("buildInfo")["version"]), process_id)
        except ServerSelectionTimeoutError:
            raise
        except AutoReconnect:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _configure(admin: Admin, address: str) -> None:
    """Make this server the only member of its set; its address changes with the free port found at each start."""
    members = [{"_id": 0, "host": address}]
    try:
        current = admin.admin.command("replSetGetConfig")["config"]
    except OperationFailure as error:
        if error.code != NOT_YET_INITIALIZED:
            raise
        admin.admin.command("replSetInitiate", {"_id": REPLICA_SET, "version": 1, "members": members})
        return
    if current["members"][0]["host"] != address:
        config = {"_id": REPLICA_SET, "version": current["version"] + 1, "members": members}
        admin.admin.command("replSetReconfig", config, force=True)


def _wait_until_primary(admin: Admin) -> None:
    deadline = time.monotonic() + PRIMARY_TIMEOUT
    while not admin.admin.command("hello")["isWritablePrimary"]:
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"The embedded database did not accept writes within {PRIMARY_TIMEOUT:.0f} s. "
                "See mongod.log in its data directory, and start again."
            )
        time.sleep(0.01)


def _make_user(admin: Admin, password: str) -> None:
    try:
        admin.admin.command("createUser", USER, pwd=password, roles=["root"])
    except OperationFailure as error:
        if error.code != USER_EXISTS:
            raise
