"""Logs: JSON lines in production, readable in a terminal, with the request's id and without secrets."""

import asyncio
import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import NamedTuple, TextIO

import orjson
import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from graph.settings import Settings

REMOVED = "[removed]"
ACCESS_LOGGER = "graph.access"
MAX_FLUSH_DELAY = 0.02
"""Seconds that an access-log line may wait for others."""
Fields = dict[str, object]
request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request being answered, which every line logged meanwhile carries."""
SECRET_SHAPES = (
    # The password in an address, of a database or anything else; without "@" there is none.
    (re.compile(r"\b([a-z][a-z0-9+.-]*://)[^\s/@\"'<>]*:[^\s@\"'<>]*@", re.IGNORECASE), rf"\1{REMOVED}@"),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=:-]{4,}", re.IGNORECASE), rf"\1 {REMOVED}"),
    # API tokens, and the keys of instances.
    (re.compile(r"\bpgi?_[A-Za-z0-9_-]{40,}"), REMOVED),
    (re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), REMOVED),
)


class Redactor:
    """Removes secrets from a line: those known from the settings, and any text of a secret's shape."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = sorted((secret for secret in secrets if len(secret) >= 8), key=len, reverse=True)

    def __call__(self, line: str) -> str:
        for secret in self._secrets:
            line = line.replace(secret, REMOVED)
        for shape, replacement in SECRET_SHAPES:
            line = shape.sub(replacement, line)
        return line


class RedactedFormatter(structlog.stdlib.ProcessorFormatter):
    """Redacts the finished line, so that no field and no traceback is missed."""

    def __init__(self, processors: Sequence[Processor], pre_chain: Sequence[Processor], redact: Redactor) -> None:
        super().__init__(processors=processors, foreign_pre_chain=pre_chain)
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))


class AccessRecord(NamedTuple):
    """An answered request, as the access log records it."""

    method: str
    path: str
    status: int
    seconds: float
    """The time it took."""
    is_redaction_free: bool
    """Whether the line needs no redaction, since it holds nothing that a client may have put a secret into."""

    @property
    def fields(self) -> Fields:
        """The fields of the log line."""
        # By hand, because `round` takes longer than everything else here.
        ms = int(self.seconds * 10_000 + 0.5) / 10
        return {"method": self.method, "path": self.path[:200], "status": self.status, "ms": ms}


class PendingLine(NamedTuple):
    """An access-log line waiting for the next flush."""

    level: int
    record: AccessRecord
    request_id: str
    at: float
    """Seconds since the epoch."""

    def line(self) -> str:
        """The line, as JSON."""
        fields = {
            "severity": logging.getLevelName(self.level),
            "message": "answered",
            **self.record.fields,
            "requestId": self.request_id,
            "logger": ACCESS_LOGGER,
            "time": datetime.fromtimestamp(self.at, UTC),
        }
        return orjson.dumps(fields, option=orjson.OPT_UTC_Z).decode()


class AccessLog:
    """Writes access-log lines, the most frequent ones by far, so they are formatted by hand and written in batches."""

    def __init__(self) -> None:
        self._logger = logging.getLogger(ACCESS_LOGGER)
        self._write: Callable[[int, AccessRecord], None] = self._log
        self._pending: list[PendingLine] = []

    def __call__(self, level: int, record: AccessRecord) -> None:
        """Log an answered request; its line is redacted unless the record says that it need not be."""
        # Checked first, because formatting a line costs as much when nobody reads it.
        if self._logger.isEnabledFor(level):
            self._write(level, record)

    def write_to(self, handler: "logging.StreamHandler[TextIO]", redact: Redactor) -> None:
        """From now on write JSON to the stream of `handler`, in the format of all other lines."""
        self._handler, self._redact = handler, redact

        def write(level: int, record: AccessRecord) -> None:
            self._pending.append(PendingLine(level, record, request_id.get(), time.time()))
            if len(self._pending) == 1:
                self._flush_soon()

        self._write = write

    def flush(self) -> None:
        """Write the waiting lines."""
        pending, self._pending = self._pending, []
        if not pending:
            return
        lines = [
            waiting.line() if waiting.record.is_redaction_free else self._redact(waiting.line()) for waiting in pending
        ]
        try:
            self._handler.stream.write("\n".join([*lines, ""]))
            self._handler.flush()
        except OSError:
            # As with every line that cannot be written: say so on stderr, and go on answering.
            self._handler.handleError(logging.makeLogRecord({}))

    def _flush_soon(self) -> None:
        """Flush in a moment, all lines in one system call."""
        try:
            asyncio.get_running_loop().call_later(MAX_FLUSH_DELAY, self.flush)
        except RuntimeError:
            self.flush()

    def use_structlog(self) -> None:
        """From now on write through the logger, like all other lines."""
        self._write = self._log

    def _log(self, level: int, record: AccessRecord) -> None:
        structlog.stdlib.get_logger(ACCESS_LOGGER).log(level, "answered", **record.fields)


access_log = AccessLog()


def configure_logs(settings: Settings, stream: TextIO | None = None) -> None:
    """Send all log lines of this process, uvicorn's included, to `stream` in one format.

    By default to stdout in production, where logs are the only output, and to stderr otherwise.
    """
    stream = stream or (sys.stdout if settings.production else sys.stderr)
    pre_chain: list[Processor] = [
        _add_request_id,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _drop_color_message,
    ]
    structlog.configure(
        processors=[*pre_chain, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    last = _json_processors() if settings.production else _console_processors(stream.isatty())
    handler, redact = logging.StreamHandler(stream), Redactor(_secrets(settings))
    handler.setFormatter(
        RedactedFormatter([structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last], pre_chain, redact)
    )
    _install(handler, settings.log_level.upper())
    if settings.production:
        access_log.write_to(handler, redact)
    else:
        access_log.use_structlog()


def _json_processors() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        _cloud_logging_fields,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]


def _console_processors(colors: bool) -> list[Processor]:
    # The default traceback formatter prints the local variables of each frame, tokens and addresses among them.
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
    # These loggers write each query with its values, each connection and each request to others; uvicorn's access log
    # repeats ours.
    for name in ("pymongo", "google", "urllib3", "httpx2", "httpcore2", "uvicorn"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _secrets(settings: Settings) -> list[str]:
    secrets = (settings.admin_token, settings.database_url)
    return [secret.get_secret_value() for secret in secrets if secret is not None]


def _add_request_id(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if (id := request_id.get()) and "requestId" not in event:
        event["requestId"] = id
    return event


def _drop_color_message(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)
    return event


def _cloud_logging_fields(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    return {"severity": event.pop("level", method).upper(), "message": event.pop("event", ""), **event}
