"""Log lines as JSON objects, with the fields that the server's own lines have."""

import logging
from datetime import UTC, datetime

import orjson


class JSONFormatter(logging.Formatter):
    """Formats a line as an object with `severity`, `message`, `time` and `logger`, and `exception` if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "severity": record.levelname,
            "message": record.getMessage(),
            "time": datetime.fromtimestamp(record.created, UTC),
            "logger": record.name,
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(fields, option=orjson.OPT_UTC_Z).decode()
