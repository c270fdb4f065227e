"""A port of its own for the metrics, which serves nothing else."""

import asyncio
import socket

import uvicorn

from graph.app import Application


async def serve_metrics(app: Application, listener: socket.socket, server: uvicorn.Server) -> asyncio.Server:
    """Serve the metrics on the listener for as long as `server` runs, and return what accepts its connections."""
    config = uvicorn.Config(
        app.metrics_app, log_config=None, access_log=False, server_header=False, ws="none", lifespan="off"
    )
    config.load()

    def protocol() -> asyncio.Protocol:
        made: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]
            config=config, server_state=server.server_state, app_state={}
        )
        return made

    return await asyncio.get_running_loop().create_server(protocol, sock=listener)
