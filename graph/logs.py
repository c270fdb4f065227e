"""Logs: JSON lines in production, readable in a terminal, one request id, no secrets."""

import logging
import re
import sys
from collections.abc import Iterable, Sequence
from typing import TextIO

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from graph.settings import Settings

REMOVED = "[removed]"
SECRET_SHAPES = (
    # A password in an address, of a database or of anything else; without "@" there is none.
    (re.compile(r"\b([a-z][a-z0-9+.-]*://)[^\s/@\"'<>]*:[^\s@\"'<>]*@", re.IGNORECASE), rf"\1{REMOVED}@"),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=:-]{4,}", re.IGNORECASE), rf"\1 {REMOVED}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), REMOVED),
)


class Redactor:
    """Takes secrets out of a line: those known from the settings, and whatever has the shape of one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = sorted((secret for secret in secrets if len(secret) >= 8), key=len, reverse=True)

    def __call__(self, line: str) -> str:
        for secret in self._secrets:
            line = line.replace(secret, REMOVED)
        for shape, replacement in SECRET_SHAPES:
            line = shape.sub(replacement, line)
        return line


class RedactedFormatter(structlog.stdlib.ProcessorFormatter):
    """Formats as ever, and redacts the finished line, so that no field and no traceback is forgotten."""

    def __init__(self, processors: Sequence[Processor], before: Sequence[Processor], redact: Redactor) -> None:
        super().__init__(processors=processors, foreign_pre_chain=before)
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))


def configure_logs(settings: Settings, stream: TextIO | None = None) -> None:
    """Send everything that is logged in this process, uvicorn's lines too, to `stream` in one form.

    Without one: to stdout in production, where logs are all that is printed, and to stderr for people.
    """
    stream = stream or (sys.stdout if settings.production else sys.stderr)
    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _drop_color_message,
    ]
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    last = _for_machines() if settings.production else _for_people(stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        RedactedFormatter(
            [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last], before, Redactor(_secrets(settings))
        )
    )
    _install(handler, settings.log_level.upper())


def _for_machines() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        _as_cloud_logging_reads,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]


def _for_people(colors: bool) -> list[Processor]:
    # The default way to show exceptions prints the local variables of each frame, tokens and addresses among them.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=colors, timestamp_key="time", exception_formatter=plain)]


def _install(handler: logging.Handler, level: str) -> None:
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # They tell each query, with its values, and each connection; uvicorn tells what this server says itself.
    for name in ("pymongo", "google", "urllib3", "uvicorn"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _secrets(settings: Settings) -> list[str]:
    kept = [secret for secret in (settings.admin_token, settings.database_url) if secret is not None]
    return [secret.get_secret_value() for secret in kept]


def _drop_color_message(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)
    return event


def _as_cloud_logging_reads(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    return {"severity": event.pop("level", method).upper(), "message": event.pop("event", ""), **event}
