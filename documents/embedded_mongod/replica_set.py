"""Turning a fresh or moved `mongod` into a primary with one user."""

import time
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

Admin = MongoClient[dict[str, Any]]


def set_up(port: int, key: str, password: str) -> str:
    """Make the server a primary with one user; returns its version. May be interrupted and repeated."""
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


def _set_up_with_retries(admin: Admin, port: int, password: str) -> str:
    """Set up the server, and return its version. Retries, because the server closes connections when its state changes,
    as after a crash."""
    deadline = time.monotonic() + PRIMARY_TIMEOUT
    while True:
        try:
            _configure(admin, f"127.0.0.1:{port}")
            _wait_until_primary(admin)
            _make_user(admin, password)
            return str(admin.admin.command("buildInfo")["version"])
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
