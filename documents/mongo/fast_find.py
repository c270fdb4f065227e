"""Finds as one message on a connection of the driver's pool.

The driver's own find costs two to three times the CPU of the message it sends: cursors, sessions, two tasks and a timer
for each reply. The driver still connects, authenticates, monitors the servers and keeps the pool; only checking out an
idle connection, sending and receiving on it, and checking it in are done here (`documents/mongo/pool.py`). This needs
private names of the driver, so with other versions of the driver its own find is used. The driver repeats a find that
fails with any error except a timeout, and handles the error; it also runs all finds when the database's URL sets a read
concern, or a read preference other than primary.
"""

import time
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.command_cursor import AsyncCommandCursor
from pymongo.errors import ConnectionFailure, NetworkTimeout, ServerSelectionTimeoutError

from documents.mongo.replies import Row, count_reply
from documents.private_apis import POOL

if POOL.problem is None:
    from pymongo import _csot

    from documents.mongo.pool import FallBackToDriver, ReplyInterrupted, run_on_pooled_connection

Command = Row

REPLY_TIMEOUT = 10.0
"""Seconds. When the driver repeats a find, only the request's deadline applies."""


def remaining_timeout() -> float | None:
    """Seconds left of the current `pymongo.timeout`; None without one."""
    # Without the private name the driver itself enforces the timeout.
    left = None if POOL.problem else _csot.remaining()
    return None if left is None else max(0.0, left)


def timeout_error(seconds: float) -> NetworkTimeout:
    """The error for a find that was not answered in so many seconds."""
    return NetworkTimeout(f"The database did not answer a find within {seconds:.1f} s.")


async def find_rows(collection: AsyncCollection[Row], command: Command) -> list[Row] | None:
    """All rows of a find command (without its first key); None when the driver has to run it."""
    cursor = await first_batch(collection, command)
    if cursor is None:
        return None
    rows: list[Row] = cursor["firstBatch"]
    if cursor["id"]:
        rows += await remaining_rows(collection, cursor).to_list()
    return rows


async def first_batch(collection: AsyncCollection[Row], command: Command) -> Row | None:
    """The cursor of a find command with its first batch; None when the driver has to run it."""
    reads_by_default = not (collection.read_preference.mode or collection.read_concern.level)
    if POOL.problem or not reads_by_default:
        return None
    left = remaining_timeout()
    seconds = REPLY_TIMEOUT if left is None else min(REPLY_TIMEOUT, left)
    began = time.monotonic()
    try:
        return await run_on_pooled_connection(collection, {"find": collection.name, **command}, seconds)
    except ServerSelectionTimeoutError:
        raise
    except FallBackToDriver:
        return None
    except (TimeoutError, NetworkTimeout) as error:
        # Do not fall back to the driver here: it would wait for the full timeout again.
        raise timeout_error(seconds) from error
    except ConnectionFailure as error:
        waited = time.monotonic() - began
        if waited < seconds / 2 or isinstance(error.__cause__, ReplyInterrupted):
            return None
        # The driver itself closed the connection a moment before the deadline.
        raise timeout_error(waited) from error


def remaining_rows(collection: AsyncCollection[Row], cursor: Row) -> AsyncCommandCursor[Row]:
    """The rows after the first batch."""
    return RemainingBatches(collection, cursor | {"firstBatch": []}, cursor["address"])


class RemainingBatches(AsyncCommandCursor[Row]):
    """The remaining batches of a cursor, whose replies are counted."""

    def _unpack_response(self, response: Any, *options: Any, **more: Any) -> Any:
        count_reply(len(response.payload_document))
        return super()._unpack_response(response, *options, **more)
