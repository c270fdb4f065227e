"""Finds as one message on a connection of the driver's pool.

The driver's own find costs two to three times the CPU of the message it sends: cursors, sessions, two tasks and a timer
for each reply. What connects, authenticates, watches the servers and keeps the pool is the driver all the same; only
the talk on a borrowed connection is done here. That takes names the driver does not publish, so other versions of it
are left to themselves, and whatever goes wrong, silence aside, is left to the driver, which meets it again and knows
what to do.
"""

import asyncio
import time
from datetime import timedelta
from typing import Any

import pymongo
from bson.codec_options import CodecOptions
from pymongo import ReadPreference, _csot
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.command_cursor import AsyncCommandCursor
from pymongo.asynchronous.pool import AsyncConnection
from pymongo.errors import ConnectionFailure, ExecutionTimeout, NetworkTimeout, ServerSelectionTimeoutError
from pymongo.message import _op_msg, _OpMsg

Row = dict[str, Any]
Command = dict[str, Any]

KNOWN = (4, 20)
"""The driver whose inner names are used here."""
SECONDS = 10.0
"""How long a reply may take; the driver, which asks again, is bounded by the request alone."""
TOO_LONG = 50
"""MongoDB's code for MaxTimeMSExpired."""


class Unanswered(Exception):
    """The database answered with an error, or not at all: the driver should ask itself."""


async def find(collection: AsyncCollection[Row], command: Command) -> list[Row] | None:
    """All rows that a find command (without its first key) gives; None when the driver has to ask itself."""
    cursor = await first_batch(collection, command)
    if cursor is None:
        return None
    rows: list[Row] = cursor["firstBatch"]
    if cursor["id"]:
        rows += await rest(collection, cursor).to_list()
    return rows


async def first_batch(collection: AsyncCollection[Row], command: Command) -> Row | None:
    """The cursor of a find command with its first batch; None when the driver has to ask itself."""
    if pymongo.version_tuple[:2] != KNOWN:
        return None
    client: Any = collection.database.client
    left = _csot.remaining()
    seconds = SECONDS if left is None else min(SECONDS, max(0.0, left))
    try:
        async with asyncio.timeout(seconds):
            async with await client._conn_for_reads(ReadPreference.PRIMARY, None, "find") as (connection, _):
                cursor = await _asked(connection, collection, {"find": collection.name, **command}, seconds)
                return cursor | {"address": connection.address}
    except ServerSelectionTimeoutError:
        raise
    except (TimeoutError, NetworkTimeout) as error:
        # The driver would only wait as long once more.
        raise NetworkTimeout(f"The database did not answer a find within {seconds:.1f} s.") from error
    except (Unanswered, ConnectionFailure):
        return None


def rest(collection: AsyncCollection[Row], cursor: Row) -> AsyncCommandCursor[Row]:
    """The rows after the first batch."""
    return AsyncCommandCursor(collection, cursor | {"firstBatch": []}, cursor["address"])


async def _asked(
    connection: AsyncConnection, collection: AsyncCollection[Row], command: Command, seconds: float
) -> Row:
    """The cursor that the database answers a command with. Raises Unanswered, or what the network raises."""
    connection.add_server_api(command)
    # Somewhat less than is waited for, so that the database gives up first and the connection stays good.
    command["maxTimeMS"] = max(1, int(900 * seconds))
    request, message, _, _ = _op_msg(
        0, command, collection.database.name, None, collection.codec_options, connection.compression_context
    )
    listening: Any = collection.database.client._event_listeners
    told = (request, connection.address, connection.server_connection_id)
    if listening.enabled_for_commands:
        listening.publish_command_start(command, collection.database.name, *told)
    began = time.monotonic()
    reply = await _reply(connection, request, message, collection.codec_options)
    if listening.enabled_for_commands:
        listening.publish_command_success(timedelta(seconds=time.monotonic() - began), reply, "find", *told)
    if reply.get("code") == TOO_LONG:
        raise ExecutionTimeout(reply["errmsg"], TOO_LONG, reply)
    if not reply["ok"]:
        raise Unanswered(reply.get("errmsg"))
    found: Row = reply["cursor"]
    return found


async def _reply(connection: AsyncConnection, request: int, message: bytes, options: CodecOptions[Row]) -> Row:
    protocol = connection.conn.get_conn
    try:
        await protocol.write(message)
        data, _ = await protocol.read(request, connection.max_message_size)
    except BaseException as error:
        # Closes the connection, since a reply may still be on its way to it.
        await connection._raise_connection_failure(error)
    found: Row = _OpMsg.unpack(data).unpack_response(codec_options=options)[0]
    return found
