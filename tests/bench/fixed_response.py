"""A server that always gives the same short answer: what it is asked in a second is the most the asker can do."""

import asyncio
import sys
from typing import cast

import uvloop

BODY = b'{"data":{"user":{"id":"user_66f0a1b2c3d4e5f600000000","displayName":"user-000000","github":"user-000000"}}}'
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)


class FixedResponse(asyncio.Protocol):
    """Takes whatever arrives for one request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER)


async def serve(port: int) -> None:
    """Answer until the process is ended."""
    server = await asyncio.get_running_loop().create_server(FixedResponse, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
