"""Finds as one message on a connection of the driver's pool.

The driver's own find costs two to three times the CPU of the message it sends: cursors, sessions, two tasks and a timer
for each reply. What connects, authenticates, watches the servers and keeps the pool is the driver all the same; only
taking a connection that lies ready there, the talk on it and giving it back are done here. That takes names the driver
does not publish, so other versions of it are left to themselves, and whatever goes wrong, silence aside, is left to the
driver, which meets it again and knows what to do.
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
from pymongo.asynchronous.pool import AsyncConnection, Pool
from pymongo.errors import ConnectionFailure, ExecutionTimeout, NetworkTimeout, ServerSelectionTimeoutError
from pymongo.message import _op_msg, _OpMsg
from pymongo.pool_shared import PoolState

Row = dict[str, Any]
Command = dict[str, Any]

KNOWN = (4, 20)
"""The driver whose inner names are used here."""
SECONDS = 10.0
"""How long a reply may take; the driver, which asks again, is bounded by the request alone."""
TOO_LONG = 50
"""MongoDB's code for MaxTimeMSExpired."""
FRESH = 1.0
"""Seconds of idleness after which the driver looks whether a connection is still open."""


class Unanswered(Exception):
    """The database answered with an error, or not at all: the driver should ask itself."""


def seconds_left() -> float | None:
    """What is left of the time that whoever runs has given to the database, by `pymongo.timeout`; None without one."""
    left = _csot.remaining()
    return None if left is None else max(0.0, left)


def silence(seconds: float) -> NetworkTimeout:
    """What is raised where a find was not answered in so many seconds."""
    return NetworkTimeout(f"The database did not answer a find within {seconds:.1f} s.")


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
    left = seconds_left()
    seconds = SECONDS if left is None else min(SECONDS, left)
    began = time.monotonic()
    try:
        return await _borrowing(collection, {"find": collection.name, **command}, seconds)
    except ServerSelectionTimeoutError:
        raise
    except Unanswered:
        return None
    except (TimeoutError, NetworkTimeout) as error:
        # The driver would only wait as long once more.
        raise silence(seconds) from error
    except ConnectionFailure as error:
        waited = time.monotonic() - began
        if waited < seconds / 2:
            return None
        # The driver itself hung up a moment before the time was over.
        raise silence(waited) from error


def rest(collection: AsyncCollection[Row], cursor: Row) -> AsyncCommandCursor[Row]:
    """The rows after the first batch."""
    return AsyncCommandCursor(collection, cursor | {"firstBatch": []}, cursor["address"])


async def _borrowing(collection: AsyncCollection[Row], command: Command, seconds: float) -> Row:
    """The cursor that the primary answers a command with."""
    client: Any = collection.database.client
    pool = _pool_of_primary(client)
    connection = pool and _waiting(pool)
    if not pool or not connection:
        async with asyncio.timeout(seconds):
            async with await client._conn_for_reads(ReadPreference.PRIMARY, None, "find") as (connection, _):
                return await _asked(connection, collection, command, seconds)
    try:
        return await _asked(connection, collection, command, seconds)
    finally:
        await _give_back(pool, connection)


def _pool_of_primary(client: Any) -> Pool | None:
    """The connections to the primary, None while none is known."""
    topology = client._topology
    if topology is None:
        return None
    known = topology.description.server_descriptions()
    writable = [address for address, server in known.items() if server.is_writable]
    # Of several routers of a cluster the driver picks one.
    server = topology.get_server_by_address(writable[0]) if len(writable) == 1 else None
    return server and server.pool


def _waiting(pool: Pool) -> AsyncConnection | None:
    """A connection that waits in the pool, taken out as the driver would; None when the driver has to find one.

    The driver does the same in ten steps that wait for locks, none of which is held while anybody else has their turn.
    """
    if not pool.conns or pool.state != PoolState.READY or pool.requests >= pool.max_pool_size or _is_awaited(pool):
        return None
    connection = pool.conns[0]
    if connection.idle_time_seconds() > FRESH or pool.stale_generation(connection.generation, connection.service_id):
        return None
    pool.conns.popleft()
    pool.operation_count += 1
    pool.requests += 1
    pool.active_sockets += 1
    pool.active_contexts.add(connection.cancel_context)
    connection.active = True
    return connection


async def _give_back(pool: Pool, connection: AsyncConnection) -> None:
    if connection.closed or _is_awaited(pool):
        await pool.checkin(connection)
        return
    # The same, without telling those who wait.
    connection.active = False
    reason, _, _ = pool._checkin_apply(connection, False, False, False)
    if reason is not None:
        await connection.close_conn(reason)


def _is_awaited(pool: Pool) -> bool:
    """Whether others wait for a connection; the driver sees to their turn."""
    return bool(pool.size_cond._waiters or pool._max_connecting_cond._waiters)


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
    reply = await _reply(connection, request, message, collection.codec_options, seconds)
    if listening.enabled_for_commands:
        listening.publish_command_success(timedelta(seconds=time.monotonic() - began), reply, "find", *told)
    if reply.get("code") == TOO_LONG:
        raise ExecutionTimeout(reply["errmsg"], TOO_LONG, reply)
    if not reply["ok"]:
        raise Unanswered(reply.get("errmsg"))
    cursor = reply["cursor"]
    return {key: cursor[key] for key in ("id", "ns", "firstBatch")} | {"address": connection.address}


async def _reply(
    connection: AsyncConnection, request: int, message: bytes, options: CodecOptions[Row], seconds: float
) -> Row:
    protocol = connection.conn.get_conn
    silent = asyncio.get_running_loop().call_later(seconds, protocol.close, TimeoutError())
    try:
        await protocol.write(message)
        data, _ = await protocol.read(request, connection.max_message_size)
    except BaseException as error:
        # Closes the connection, since a reply may still be on its way to it.
        await connection._raise_connection_failure(error)
    finally:
        silent.cancel()
    found: Row = _OpMsg.unpack(data).unpack_response(codec_options=options)[0]
    return found
