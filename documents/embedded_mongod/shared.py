"""Using an embedded database that another process runs."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path

from pymongo.errors import PyMongoError

from documents.embedded_mongod.address import Address, read_address, remove_address
from documents.embedded_mongod.directory import read_secret
from documents.embedded_mongod.errors import EmbeddedError
from documents.embedded_mongod.replica_set import is_primary, uri_of

WATCH_INTERVAL = 0.25
"""Seconds between two looks at whether the database still runs."""
FILE = "shared"


class SharedMongo:
    """An embedded database that another process runs and may stop at any time."""

    def __init__(self, data_dir: Path, address: Address) -> None:
        self.data_dir = data_dir
        self.owner = address.owner
        self.uri = uri_of(address.port, read_secret(data_dir / "password"))

    def is_offered(self) -> bool:
        """Whether its owner is there and has not begun to stop it."""
        address = read_address(self.data_dir)
        return address is not None and address.owner == self.owner and address.has_owner()

    def is_running(self) -> bool:
        """Whether it also answers."""
        address = read_address(self.data_dir)
        return address is not None and self.is_offered() and is_primary(address.port, address.process_id)

    @asynccontextmanager
    async def end_with_owner(self) -> AsyncIterator[None]:
        """Cancel the block once the database stops, or is about to; raises EmbeddedError then."""
        task = asyncio.current_task()
        assert task is not None
        watch = asyncio.create_task(self._cancel_when_stopped(task), name="embedded-watch")
        try:
            yield
        except asyncio.CancelledError as error:
            if not _is_finished(watch):
                raise
            task.uncancel()
            raise self._stop_error() from error
        except PyMongoError as error:
            if await asyncio.to_thread(self.is_running):
                raise
            raise self._stop_error() from error
        else:
            # The block may have taken its cancellation for that of a signal.
            if _is_finished(watch):
                raise self._stop_error()
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)

    async def _cancel_when_stopped(self, task: "asyncio.Task[object]") -> None:
        while True:
            await asyncio.sleep(WATCH_INTERVAL)
            if not self.is_offered():
                task.cancel()
                return

    def _stop_error(self) -> EmbeddedError:
        return EmbeddedError(
            f"The database in {self.data_dir} stopped, which process {self.owner} ran, so this command ended early: "
            "run it again to do the rest."
        )


def _is_finished(watch: "asyncio.Task[None]") -> bool:
    return watch.done() and not watch.cancelled()


@contextmanager
def join(data_dir: Path) -> Iterator[SharedMongo | None]:
    """The database that another process runs in the directory, for the block; None where none takes writes.

    Before anything signs in, its process and replica set are compared with those that were started there.
    """
    if read_address(data_dir) is None:
        yield None
        return
    import fcntl  # Not on every platform that may import this module.

    with _open_lock(data_dir) as lock:
        # Read again: the owner may have withdrawn the address before the lock was taken.
        address = read_address(data_dir) if _try_lock(lock, fcntl.LOCK_SH) else None
        is_open = address is not None and address.has_owner() and is_primary(address.port, address.process_id)
        yield SharedMongo(data_dir, address) if address and is_open else None


async def withdraw(data_dir: Path, on_wait: Callable[[], None]) -> None:
    """Wait until no other process uses the database, and remove its address, so that none begins to.

    `on_wait` is called once if one does.
    """
    import fcntl  # Not on every platform that may import this module.

    with _open_lock(data_dir) as lock:
        for attempt in count():
            if _try_lock(lock, fcntl.LOCK_EX):
                break
            if attempt == 0:
                on_wait()
            await asyncio.sleep(WATCH_INTERVAL)
        remove_address(data_dir)


@contextmanager
def _open_lock(data_dir: Path) -> Iterator[int]:
    """The descriptor of the lock that processes share which use the database."""
    lock = os.open(data_dir / FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield lock
    finally:
        os.close(lock)


def _try_lock(lock: int, kind: int) -> bool:
    """Whether the lock could be taken."""
    import fcntl

    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
