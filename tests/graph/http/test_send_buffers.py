"""The bytes of an answer in the system's send buffers, which the client has yet to read."""

import asyncio
import socket
from typing import cast

import pytest

from graph.http.send_buffers import SOCKET_BUFFER_BYTES, SendBuffer, SendBuffers


@pytest.mark.parametrize(
    ("signed_in", "size", "wide"),
    [
        (True, SOCKET_BUFFER_BYTES + 1, True),
        (True, SOCKET_BUFFER_BYTES, False),
        (False, 10 * SOCKET_BUFFER_BYTES, False),
    ],
)
async def test_the_system_takes_more_at_once_of_a_large_answer_to_somebody_signed_in(
    signed_in: bool, size: int, wide: bool
) -> None:
    own, other = socket.socketpair()
    _, writer = await asyncio.open_connection(sock=own)
    client = SendBuffer(cast(asyncio.Transport, writer.transport), SendBuffers(10**9))
    client.signed_in = signed_in
    before = own.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    with client.holding(size):
        after = own.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    writer.close()
    await writer.wait_closed()
    other.close()

    # As large as the machine allows.
    assert (after > before) is wide
