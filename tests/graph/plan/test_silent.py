"""A database that has fallen silent keeps nobody waiting longer than a request may, whatever others wait for."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from documents.database import make_client, open_database
from documents.embedded import Embedded
from tests.graph.plan.both import Both

WITHIN = 2.0
ASKED: dict[str, dict[str, object]] = {
    "query($id: ID!) { user(id: $id) { id } }": {"id": "user_0"},
    "query($first: Int) { users(first: $first) { nodes { id } } }": {"first": 3},
}


@pytest.fixture
async def alone(fast_directory: Path) -> AsyncIterator[Embedded]:
    """A database server of the test's own, to which the documents are bound."""
    with Embedded.start(fast_directory / "silent") as embedded:
        client = make_client(embedded.uri, timeoutMS=10_000)
        await open_database(client["silent"], indexes=False)
        yield embedded
        await client.close()


@pytest.mark.parametrize("query", ASKED)
async def test_all_who_ask_are_told_in_time(alone: Embedded, monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    monkeypatch.setattr("documents.direct.SECONDS", WITHIN)
    monkeypatch.setattr("graph.http.REQUEST_WITHIN", WITHIN)
    both = Both()
    answered = await both.planned(query, **ASKED[query])
    os.kill(alone.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        # To show a traceback to people takes longer than what is measured here.
        with capture_logs():
            answers = await asyncio.gather(*(both.planned(query, **ASKED[query]) for _ in range(4)))
        took = time.monotonic() - began
    finally:
        os.kill(alone.pid, signal.SIGCONT)

    assert b"errors" not in answered
    assert all(b"INTERNAL_SERVER_ERROR" in answer for answer in answers)
    assert took < 1.7 * WITHIN
    assert await both.planned(query, **ASKED[query]) == answered
