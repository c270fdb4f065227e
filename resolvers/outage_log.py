"""Logging outages: a line when one begins, then one with a count in each interval while it lasts.

Every request fails during an outage, so a line or a traceback for each would bury everything else in the log.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import structlog

LOG_INTERVAL = 10.0
"""Seconds between two lines about one outage."""
MAX_REASON_LENGTH = 200

log = structlog.stdlib.get_logger("resolvers.outages")


@dataclass
class Tally:
    """The count of failures of one kind since the last line about them."""

    event: str
    reason: str = ""
    count: int = 0

    def write(self) -> None:
        """Write the log line, and start counting again."""
        log.warning(self.event, count=self.count, reason=self.reason)
        self.count = 0


_tallies: dict[tuple[asyncio.AbstractEventLoop, str, str], Tally] = {}


def count_outage(event: str, error: BaseException, part: str = "") -> None:
    """Count a failure for the log; `event` names what failed, and `part` one of a few sources."""
    loop = asyncio.get_running_loop()
    key = (loop, event, part)
    is_first = key not in _tallies
    tally = _tallies.setdefault(key, Tally(f"{event}: {part}" if part else event))
    tally.count += 1
    tally.reason = _reason(error)
    if is_first:
        tally.write()
        loop.call_later(LOG_INTERVAL, _log_repeats, key)


def _log_repeats(key: Any) -> None:
    """Log the failures since the last line, and repeat later; forget sources that have stopped failing."""
    if not _tallies[key].count:
        del _tallies[key]
        return
    _tallies[key].write()
    key[0].call_later(LOG_INTERVAL, _log_repeats, key)


def _reason(error: BaseException) -> str:
    # Without the settings and descriptions of servers that the driver appends.
    text = str(error).partition(" (configured timeouts")[0].partition(", Timeout: ")[0].partition(", full error")[0]
    return f"{type(error).__name__}: {text}"[:MAX_REASON_LENGTH]
