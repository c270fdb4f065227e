"""Commands sent on a connection of the driver's pool, by private names of the driver.

`documents/mongo/fast_find.py` imports this module only where `documents.private_apis.POOL` is as expected.
"""

import asyncio
import time
from datetime import timedelta
from typing import Any

from bson.codec_options import CodecOptions
from pymongo import ReadPreference
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.pool import AsyncConnection, Pool
from pymongo.errors import ExecutionTimeout
from pymongo.message import _op_msg, _OpMsg
from pymongo.pool_shared import PoolState

from documents.mongo.replies import Row, count_reply
from documents.mongo.round_trips import count_round_trip

MAX_TIME_MS_EXPIRED = 50
"""MongoDB's code for MaxTimeMSExpired."""
IDLE_CHECK_AFTER = 1.0
"""Seconds of idleness after which the driver checks whether a connection is still open."""

_awaiting_reply: set[AsyncConnection] = set()
"""Connections that wait for a reply."""


class ReplyInterrupted(OSError):
    """The wait for a server's reply was interrupted."""


class FallBackToDriver(Exception):
    """The database answered with an error, or not at all: the driver should run the command itself."""


async def run_on_pooled_connection(collection: AsyncCollection[Row], command: Row, seconds: float) -> Row:
    """The cursor with which the primary answers a command."""
    client: Any = collection.database.client
    pool = _pool_of_primary(client)
    connection = pool and _checkout_idle(pool)
    if not pool or not connection:
        async with asyncio.timeout(seconds):
            async with await client._conn_for_reads(ReadPreference.PRIMARY, None, "find") as (connection, _):
                return await _send_command(connection, collection, command, seconds)
    try:
        return await _send_command(connection, collection, command, seconds)
    finally:
        await _checkin(pool, connection)


def interrupt_replies(pool: Pool) -> None:
    """End the finds that wait for a reply on a pool's connections; the driver repeats each of them."""
    for connection in [connection for connection in _awaiting_reply if connection.pool_gen is pool.gen]:
        connection.conn.get_conn.close(ReplyInterrupted("gave up waiting for the server's reply"))


def connection_counts(client: Any) -> dict[str, int]:
    """The connections of a client's pools that are `checked_out` and `idle`, and the tasks `waiting` for one."""
    topology = client._topology
    addresses = topology.description.server_descriptions() if topology is not None else ()
    servers = [server for address in addresses if (server := topology.get_server_by_address(address)) is not None]
    pools = [server.pool for server in servers]
    return {
        "checked_out": sum(pool.active_sockets for pool in pools),
        "idle": sum(len(pool.conns) for pool in pools),
        "waiting": sum(len(pool.size_cond._waiters) + len(pool._max_connecting_cond._waiters) for pool in pools),
    }


def _pool_of_primary(client: Any) -> Pool | None:
    """The connections to the primary, None while none is known."""
    topology = client._topology
    if topology is None:
        return None
    servers = topology.description.server_descriptions()
    writable = [address for address, server in servers.items() if server.is_writable]
    # With several routers of a sharded cluster the driver picks one.
    server = topology.get_server_by_address(writable[0]) if len(writable) == 1 else None
    return server and server.pool


def _checkout_idle(pool: Pool) -> AsyncConnection | None:
    """An idle connection, checked out of the pool as the driver would; None when the driver has to find one.

    The driver does this in ten steps that await locks; here none of the locks is held while other tasks run.
    """
    if not pool.conns or pool.state != PoolState.READY or pool.requests >= pool.max_pool_size or _has_waiters(pool):
        return None
    connection = pool.conns[0]
    if connection.idle_time_seconds() > IDLE_CHECK_AFTER:
        return None
    if pool.stale_generation(connection.generation, connection.service_id):
        return None
    pool.conns.popleft()
    pool.operation_count += 1
    pool.requests += 1
    pool.active_sockets += 1
    pool.active_contexts.add(connection.cancel_context)
    connection.active = True
    count_round_trip()
    return connection


async def _checkin(pool: Pool, connection: AsyncConnection) -> None:
    if connection.closed or _has_waiters(pool):
        await pool.checkin(connection)
        return
    # As the driver does, but without notifying the pool's waiters.
    connection.active = False
    reason, _, _ = pool._checkin_apply(connection, False, False, False)
    if reason is not None:
        await connection.close_conn(reason)


def _has_waiters(pool: Pool) -> bool:
    """Whether tasks wait for a connection of the pool; the driver keeps their order."""
    return bool(pool.size_cond._waiters or pool._max_connecting_cond._waiters)


async def _send_command(
    connection: AsyncConnection, collection: AsyncCollection[Row], command: Row, seconds: float
) -> Row:
    """The cursor with which the database answers a command. Raises FallBackToDriver, or the network's error."""
    connection.add_server_api(command)
    # Somewhat less than the client's timeout, so that the database gives up first and the connection stays usable.
    command["maxTimeMS"] = max(1, int(900 * seconds))
    request, message, _, _ = _op_msg(
        0, command, collection.database.name, None, collection.codec_options, connection.compression_context
    )
    listeners: Any = collection.database.client._event_listeners
    event = (request, connection.address, connection.server_connection_id)
    if listeners.enabled_for_commands:
        listeners.publish_command_start(command, collection.database.name, *event)
    began = time.monotonic()
    reply = await _exchange(connection, request, message, collection.codec_options, seconds)
    if listeners.enabled_for_commands:
        listeners.publish_command_success(timedelta(seconds=time.monotonic() - began), reply, "find", *event)
    if reply.get("code") == MAX_TIME_MS_EXPIRED:
        raise ExecutionTimeout(reply["errmsg"], MAX_TIME_MS_EXPIRED, reply)
    if not reply["ok"]:
        raise FallBackToDriver(reply.get("errmsg"))
    cursor = reply["cursor"]
    return {key: cursor[key] for key in ("id", "ns", "firstBatch")} | {"address": connection.address}


async def _exchange(
    connection: AsyncConnection, request: int, message: bytes, options: CodecOptions[Row], seconds: float
) -> Row:
    """Send a message, and return the reply to it."""
    protocol = connection.conn.get_conn
    timer = asyncio.get_running_loop().call_later(seconds, protocol.close, TimeoutError())
    _awaiting_reply.add(connection)
    try:
        await protocol.write(message)
        data, _ = await protocol.read(request, connection.max_message_size)
    except BaseException as error:
        # Closes the connection, since a reply may still be on its way to it.
        await connection._raise_connection_failure(error)
    finally:
        timer.cancel()
        _awaiting_reply.discard(connection)
    count_reply(len(data))
    reply: Row = _OpMsg.unpack(data).unpack_response(codec_options=options)[0]
    return reply
