"""`provenance-graph work --ingest`: a process that turns uploaded reports into jobs.

It uses the database and the bucket directly, as the server does, so any number of them may run anywhere.
"""

import asyncio
import os
import signal
import socket
import threading
from dataclasses import dataclass, field

import pymongo
import structlog
import typer

from graph.logs import configure_logs
from graph.server.file_descriptors import raise_limit
from graph.server.open_database import (
    CommandDatabase,
    connect,
    database_for_command,
    make_current,
    open_configured_bucket,
)
from graph.settings import Settings, SettingsError, load_settings
from resolvers.concurrency.garbage_collection import exempt_current_objects
from resolvers.galaxy.ingest.poll_loop import POLL_INTERVAL, ingest

FORCED_EXIT_TIMEOUT = 7.8
"""Seconds after which the process exits even if something blocks its end."""
OPERATION_TIMEOUT = 120.0
"""Seconds that one database operation may take."""

log = structlog.stdlib.get_logger("graph.ingesting")


@dataclass(frozen=True)
class IngestOptions:
    """The options of an ingest worker."""

    name: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    once: bool = False
    until_idle: bool = False
    poll: float = POLL_INTERVAL


def run(options: IngestOptions) -> None:
    """Ingest reports until told to stop by SIGTERM or SIGINT, or for as long as the options say.

    Raises SettingsError, SchemaError, EmbeddedError and PyMongoError when it cannot start.
    """
    settings = load_settings()
    configure_logs(settings)
    raise_limit()
    if settings.read_only:
        asyncio.run(_wait_in_read_only_mode(options))
        return
    with database_for_command(settings, _print_status) as database:
        asyncio.run(_work(settings, database, options))


async def _wait_in_read_only_mode(options: IngestOptions) -> None:
    """Wait, so that whatever runs this process does not start it again and again, until it is told to stop."""
    log.warning("read-only mode: reports wait until this worker is started without it", worker=options.name)
    if options.once or options.until_idle:
        return
    stop = asyncio.Event()
    _set_on_signal(stop)
    await stop.wait()
    log.info("stopped", worker=options.name)


async def _work(settings: Settings, database: CommandDatabase, options: IngestOptions) -> None:
    stop = asyncio.Event()
    _set_on_signal(stop)
    async with (
        database.end_with_owner(),
        open_configured_bucket(settings) as bucket,
        connect(database.url, settings.database_name, seconds=OPERATION_TIMEOUT) as client,
    ):
        if bucket is None:
            raise SettingsError("PROVENANCE_BUCKET must be set: without it there are no reports to ingest.")
        with pymongo.timeout(None):
            await make_current(
                settings, client[settings.database_name], _print_status, is_shared=database.shared is not None
            )
        # The driver leaves written rows in reference cycles, a thousand at a time. Full collections free them, and run
        # when the tracked objects have grown by a quarter, which is much while the objects of all modules count.
        exempt_current_objects()
        log.info("waiting for reports", worker=options.name, database=settings.database_name, bucket=bucket.name)
        await ingest(stop, name=options.name, once=options.once, until_idle=options.until_idle, poll=options.poll)
    log.info("stopped", worker=options.name)


def _set_on_signal(stop: asyncio.Event) -> None:
    def on_signal() -> None:
        if stop.is_set():
            # A second signal means at once.
            os._exit(1)
        log.info("stopping; running ingestions are handed back")
        stop.set()
        timer = threading.Timer(FORCED_EXIT_TIMEOUT, os._exit, (70,))
        timer.daemon = True
        timer.start()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)


def _print_status(line: str) -> None:
    typer.echo(line, err=True)
