"""An outage is a line in the log when it begins, and a line with a count in each interval while it lasts."""

import pytest
from pymongo.errors import AutoReconnect, ServerSelectionTimeoutError
from structlog.testing import capture_logs

from resolvers import outage_log
from resolvers.outage_log import count_outage
from tests.support.patience import until_awaited


async def test_a_thousand_failures_are_a_line_and_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage_log, "LOG_INTERVAL", 0.2)

    async def is_over() -> bool:
        return not any(event == "requests failed" for _, event, _ in outage_log._tallies)

    error = ServerSelectionTimeoutError("no primary, Timeout: 5s, Topology Description: <a very long one>")
    with capture_logs() as lines:
        for _ in range(1000):
            count_outage("requests failed", error, "UNAVAILABLE")
        count_outage("requests failed", AutoReconnect("closed (configured timeouts: ...)"), "TIMEOUT")
        await until_awaited(is_over)
        count_outage("requests failed", error, "UNAVAILABLE")

    # Others may have counted in this loop, too.
    told = [line for line in lines if line["event"].startswith("requests failed")]
    assert [(line["event"], line["count"], line["reason"]) for line in told] == [
        ("requests failed: UNAVAILABLE", 1, "ServerSelectionTimeoutError: no primary"),
        ("requests failed: TIMEOUT", 1, "AutoReconnect: closed"),
        ("requests failed: UNAVAILABLE", 999, "ServerSelectionTimeoutError: no primary"),
        ("requests failed: UNAVAILABLE", 1, "ServerSelectionTimeoutError: no primary"),
    ]
