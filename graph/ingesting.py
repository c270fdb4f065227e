"""`provenance-graph work --ingest`: a process that turns uploaded reports into jobs.

It speaks to the database and the bucket itself, as the server does, so any number of them may run anywhere.
"""

import asyncio
import gc
import os
import signal
import socket
import threading
from dataclasses import dataclass, field

import structlog
import typer

from graph.logs import configure_logs
from graph.settings import Settings, SettingsError, load_settings
from graph.starting import bucket_opened, connected, database_url
from resolvers.ingest.ingestion.worker import POLL, ingest

EXIT_WITHIN = 7.8
"""Seconds after which the process ends even if something does not let go."""
OPERATION_WITHIN = 120.0
"""Seconds that one operation on the database may take."""

log = structlog.stdlib.get_logger("graph.ingesting")


@dataclass(frozen=True)
class Ingesting:
    """How an ingest worker goes about it."""

    name: str = field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    once: bool = False
    until_idle: bool = False
    poll: float = POLL


def run(options: Ingesting) -> None:
    """Take reports until told to stop by SIGTERM or SIGINT, or as long as the options say.

    Raises SettingsError, EmbeddedError and PyMongoError when that cannot begin.
    """
    settings = load_settings()
    configure_logs(settings)
    with database_url(settings, _say) as url:
        asyncio.run(_work(settings, url, options))


async def _work(settings: Settings, url: str, options: Ingesting) -> None:
    stop = asyncio.Event()
    _stop_when_told(stop)
    # In production indexes are made by `provenance-graph migrate`.
    indexes = not settings.production
    async with (
        bucket_opened(settings) as bucket,
        connected(url, settings.database_name, indexes=indexes, seconds=OPERATION_WITHIN),
    ):
        if bucket is None:
            raise SettingsError("PROVENANCE_BUCKET must be set: without it there are no reports to ingest.")
        _forget_soon()
        log.info("waits for reports", worker=options.name, database=settings.database_name, bucket=bucket.name)
        await ingest(stop, name=options.name, once=options.once, until_idle=options.until_idle, poll=options.poll)
    log.info("ends", worker=options.name)


def _forget_soon() -> None:
    """Have rows that were written collected soon: the driver leaves them in rings, a thousand at a time.

    The collector looks at everything when a quarter has been added, which is much as long as all modules count.
    """
    gc.collect()
    gc.freeze()


def _stop_when_told(stop: asyncio.Event) -> None:
    def told() -> None:
        if stop.is_set():
            # Whoever says it twice does not want to wait.
            os._exit(1)
        log.info("stopping; what is under way is handed back")
        stop.set()
        timer = threading.Timer(EXIT_WITHIN, os._exit, (70,))
        timer.daemon = True
        timer.start()

    for sent in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sent, told)


def _say(line: str) -> None:
    typer.echo(line, err=True)
