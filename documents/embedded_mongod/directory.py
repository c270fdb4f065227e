"""The directory of an embedded database: its lock, its secrets, its space."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from documents.embedded_mongod import errors
from documents.embedded_mongod.errors import DirectoryInUse, EmbeddedError

MIN_FREE_BYTES = 320 * 1024 * 1024
"""MongoDB takes 20 MB before the first document, and up to 256 MB for its oplog."""


def prepare(data_dir: Path) -> int:
    """Create the directory and its secrets; returns the descriptor of its lock. Raises EmbeddedError."""
    with _writable(data_dir):
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (data_dir / "db").mkdir(mode=0o700, exist_ok=True)
        lock = _take_lock(data_dir)
        try:
            _make_secret(data_dir / "keyfile", random_bytes=64)
            _make_secret(data_dir / "password", random_bytes=24)
            prepare_again(data_dir)
        except BaseException:
            os.close(lock)
            raise
    return lock


def prepare_again(data_dir: Path) -> None:
    """Prepare the directory, already locked, for another start. Raises EmbeddedError."""
    with _writable(data_dir):
        _rotate_log(data_dir / "mongod.log")
        _check_space(data_dir)


@contextmanager
def _writable(data_dir: Path) -> Iterator[None]:
    """Raise EmbeddedError where the block cannot write."""
    try:
        yield
    except OSError as error:
        raise EmbeddedError(
            f"The data directory {data_dir} cannot be written: {error.strerror}. "
            f"Make it writable, choose another PROVENANCE_DATA_DIR, {errors.ELSEWHERE}."
        ) from error


def _take_lock(data_dir: Path) -> int:
    """Lock the directory until the descriptor closes, which it also does when this process is killed."""
    import fcntl  # Not on every platform that may import this module.

    lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(lock, 20).decode().strip() or "unknown"
        os.close(lock)
        raise DirectoryInUse(
            f"The database in {data_dir} is in use by process {owner}. "
            "Stop that server first, or choose another PROVENANCE_DATA_DIR for this one."
        ) from None
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def _make_secret(path: Path, *, random_bytes: int) -> None:
    """Write a fresh secret, unless there is one from an earlier start."""
    if not path.exists():
        write_private(path, secrets.token_hex(random_bytes))


def write_private(path: Path, text: str) -> None:
    """Write a file in one step that only its owner may read."""
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)


def read_secret(path: Path) -> str:
    """The password or key in the file."""
    return path.read_text().strip()


def _rotate_log(log: Path) -> None:
    """Start a new log and keep that of the last run only, so that logs cannot fill the disk."""
    if log.exists():
        log.replace(log.with_name(log.name + ".1"))


def _check_space(data_dir: Path) -> None:
    free = shutil.disk_usage(data_dir).free
    if free < MIN_FREE_BYTES:
        raise EmbeddedError(
            f"Only {free >> 20} MB are free on the disk of {data_dir}, but the database needs "
            f"{MIN_FREE_BYTES >> 20} MB. Make room, choose another PROVENANCE_DATA_DIR, {errors.ELSEWHERE}."
        )
