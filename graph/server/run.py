"""Serving until told to stop, and stopping in time: Cloud Run kills an instance 10 s after SIGTERM."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import structlog
import uvicorn

from documents.private_apis import HTTP_PROTOCOL
from graph.app import Application
from graph.http.send_buffers import SOCKET_BUFFER_BYTES
from graph.limits import MAX_MESSAGE_BYTES
from graph.logs import access_log, configure_logs
from graph.metrics.shared_directory import SharedDirectory
from graph.server.metrics_port import serve_metrics
from graph.server.web_processes import ProcessSupervisor
from graph.settings import Settings, SettingsError
from resolvers.concurrency.garbage_collection import exempt_current_objects, set_server_thresholds

GRACEFUL_SHUTDOWN_TIMEOUT = 6
"""Seconds that running requests get after a signal; the rest is for closing the database."""
BACKLOG = 2048
"""Connections that may wait to be accepted."""
FORCED_EXIT_TIMEOUT = 8.3
"""Seconds after which the process exits even if something blocks its end."""

log = structlog.stdlib.get_logger("graph.server")


MakeApp = Callable[[SharedDirectory | None], Application]
"""From the directory in which processes share their metrics, if there are several, to the application of one."""


@contextmanager
def bind_listener(settings: Settings) -> Iterator[socket.socket]:
    """A socket bound to the server's address for the block, which listens once `run` has it.

    Until then connections are refused, so that nobody takes a server that is still starting for one that is up. Raises
    SettingsError when the address is taken.
    """
    with _bind(settings.listen_on, settings.port, "HOST or PORT") as listener:
        yield listener


@contextmanager
def _bind(host: str, port: int, variables: str) -> Iterator[socket.socket]:
    """A socket bound to an address for the block. Raises SettingsError that names the variables when it is taken."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        # A server that has just stopped leaves connections behind that would keep its address for a minute.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with _named_address(host, port, variables):
            listener.bind((host, port))
        # Connections inherit the listener's buffer size. By default the system grows it to several megabytes for each.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER_BYTES)
        yield listener


@contextmanager
def _named_address(host: str, port: int, variables: str) -> Iterator[None]:
    """Raise SettingsError for an address that the block cannot have."""
    try:
        yield
    except OSError as error:
        # Python adds the address to the system's message, and this message names it already.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise SettingsError(f"Cannot listen on {host} port {port}: {reason}. Set {variables} to another.") from None


def run(
    make_app: MakeApp,
    settings: Settings,
    listener: socket.socket,
    *,
    processes: int = 1,
    on_start: Callable[[str], None] | None = None,
    on_stop: Callable[[], None] = lambda: None,
) -> bool:
    """Serve until SIGTERM or SIGINT, then finish running requests, refuse new ones, and return whether all went well.

    `listener` is a socket of `bind_listener`. `on_start` is called with the server's address once it answers, and
    `on_stop`, within a signal handler, when it is told to stop. Raises SettingsError when another process listens on
    the address by now, when that of the metrics is taken, or when the metrics cannot be shared.
    """
    configure_logs(settings)
    with _named_address(settings.listen_on, settings.port, "HOST or PORT"):
        listener.listen(BACKLOG)
    with _metrics_listener(settings) as metrics_listener:
        if processes == 1:
            return _serve(make_app(None), listener, metrics_listener, on_start, on_stop)
        with _shared_directory() as directory:

            def work(number: int) -> bool:
                return _serve(make_app(directory), listener, metrics_listener, None if number else on_start)

            def retire(pid: int) -> None:
                # The supervisor has to go on, whatever is the matter with the disk.
                try:
                    directory.retire(pid)
                except OSError as error:
                    log.warning("the metrics of a process that ended are lost", pid=pid, error=str(error))

            return ProcessSupervisor(work, processes, on_stop, retire).run()


@contextmanager
def _metrics_listener(settings: Settings) -> Iterator[socket.socket | None]:
    """The listener of the metrics' own port, None without one. Raises SettingsError when the address is taken."""
    if settings.metrics_port is None:
        yield None
        return
    variables = "PROVENANCE_METRICS_HOST or PROVENANCE_METRICS_PORT"
    with _bind(settings.metrics_host, settings.metrics_port, variables) as listener:
        with _named_address(settings.metrics_host, settings.metrics_port, variables):
            listener.listen(BACKLOG)
        yield listener


@contextmanager
def _shared_directory() -> Iterator[SharedDirectory]:
    """The directory in which processes share their metrics, removed at the end. Raises SettingsError without space."""
    try:
        directory = SharedDirectory()
    except OSError as error:
        raise SettingsError(
            f"Several processes share their metrics in a temporary directory, which cannot be made: {error}. "
            "Set TMPDIR to a folder that can be written."
        ) from None
    try:
        yield directory
    finally:
        directory.remove()


def _serve(
    app: Application,
    listener: socket.socket,
    metrics_listener: socket.socket | None,
    on_start: Callable[[str], None] | None,
    on_stop: Callable[[], None] = lambda: None,
) -> bool:
    """Serve in this process; returns whether the server started."""
    config = uvicorn.Config(
        app,
        **_protocols(),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_TIMEOUT,
        timeout_keep_alive=65,
        ws_max_size=MAX_MESSAGE_BYTES,
        # Compression takes 20 kB per socket, and for large answers so long that it would block all other requests.
        ws_per_message_deflate=False,
        lifespan="on",
    )
    server = _Server(config, app, metrics_listener, on_start, on_stop)
    server.run(sockets=[listener])
    access_log.flush()
    return server.started


def _protocols() -> dict[str, Any]:
    """Our protocols for HTTP and WebSockets, where uvicorn has what they build upon; otherwise its own."""
    if HTTP_PROTOCOL.problem:
        return {}
    from graph.http.uvicorn_protocol import FastPathProtocol, WebSocketProtocol

    return {"http": FastPathProtocol, "ws": WebSocketProtocol}


class _Server(uvicorn.Server):
    def __init__(
        self,
        config: uvicorn.Config,
        app: Application,
        metrics_listener: socket.socket | None,
        on_start: Callable[[str], None] | None,
        on_stop: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._app = app
        self._metrics_listener = metrics_listener
        self._on_start = on_start
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._metrics_listener:
            self.servers.append(await serve_metrics(self._app, self._metrics_listener, self))
        exempt_current_objects()
        set_server_thresholds()
        if self.started and self._on_start and sockets:
            self._on_start(_url(sockets[0]))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log.info("stopping after running requests have finished")
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # Not uvicorn's own handler: it raises the signal again at the end, which kills the process before its caller
        # cleans up.
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        if not self.should_exit:
            self._app.draining = True
            self._on_stop()
            _start_exit_watchdog()
        self.should_exit = True


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _start_exit_watchdog() -> None:
    timer = threading.Timer(FORCED_EXIT_TIMEOUT, _end)
    timer.daemon = True
    timer.start()


def _end() -> None:
    log.critical("the server did not stop in time and is ended")
    os._exit(70)
