"""The log of an attempt, as it is sent to a server that takes it or refuses it."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from graph.clients.worker import log_shipper
from graph.clients.worker.claimed_activity import ClaimedActivity
from graph.clients.worker.client import open_client
from graph.clients.worker.lease_renewal import Lease, LeaseLost
from graph.clients.worker.log_shipper import MAX_BATCH_LINES, MAX_LINE_LENGTH, LogShipper
from tests.support.patience import within
from tests.support.storage import serve

STEP = ClaimedActivity("step_1", 2, True, "step a (attempt 2)", {})
TRANSFORM = ClaimedActivity("transform_1", 1, False, "transform t (attempt 1)", {})


class LogServer:
    """Requests that a server was sent, and the refusal that it answers with."""

    def __init__(self) -> None:
        self.url = ""
        self.inputs: list[dict[str, Any]] = []
        self.refusals: list[dict[str, str]] = []

    async def answer(self, request: Request) -> JSONResponse:
        self.inputs.append((await request.json())["variables"]["input"])
        return JSONResponse({"data": {"appendLogs": {"nextSequence": None, "userErrors": self.refusals}}})

    def lines(self) -> list[tuple[str, str]]:
        """The levels and messages of all lines."""
        return [(line["level"], line["message"]) for input in self.inputs for line in input["entries"]]

    async def send(self, claimed: ClaimedActivity, *outputs: tuple[bytes, str]) -> tuple[LogShipper, Lease]:
        """Send these outputs, each of a level, to the server."""
        async with open_client(f"{self.url}/graphql", "a-token") as client:
            lease = Lease(client, claimed, "mill", 60, since=time.monotonic())
            shipper = LogShipper(client, claimed, lease)
            sending = asyncio.create_task(shipper.send())
            for output, level in outputs:
                stream = asyncio.StreamReader()
                stream.feed_data(output)
                stream.feed_eof()
                await shipper.follow(stream, level)
            await shipper.close()
            await sending
            return shipper, lease


@pytest.fixture
async def log_server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LogServer]:
    # A batch ends when it is full or the log is closed, however slow the machine is.
    monkeypatch.setattr(log_shipper, "FLUSH_INTERVAL", within())
    log_server = LogServer()
    with serve(Starlette(routes=[Route("/graphql", log_server.answer, methods=["POST"])])) as log_server.url:
        yield log_server


async def test_lines_are_cut_and_cleaned_and_the_last_five_of_stderr_remembered(log_server: LogServer) -> None:
    long = b"x" * MAX_LINE_LENGTH

    shipper, _ = await log_server.send(
        STEP, (b"a\rb\r\n\n\xff\0" + long, "INFO"), (b"1\n2\n\n3\n4\n5\n6\n" + long + b"y\n", "WARNING")
    )

    info = ["a", "b", "", "\N{REPLACEMENT CHARACTER}" * 2 + "x" * (MAX_LINE_LENGTH - 2), "xx"]
    warning = ["1", "2", "", "3", "4", "5", "6", "x" * MAX_LINE_LENGTH, "y"]
    assert log_server.lines() == [*(("INFO", line) for line in info), *(("WARNING", line) for line in warning)]
    assert (shipper.lines, shipper.last) == (14, ["4", "5", "6", "x" * MAX_LINE_LENGTH, "y"])


async def test_lines_are_numbered_through_all_batches(log_server: LogServer) -> None:
    await log_server.send(STEP, (b"a\n" * (MAX_BATCH_LINES + 1), "INFO"))

    heads = [
        (one["activityId"], one["attempt"], one["firstSequence"], len(one["entries"])) for one in log_server.inputs
    ]
    assert heads == [("step_1", 2, 1, MAX_BATCH_LINES), ("step_1", 2, MAX_BATCH_LINES + 1, 1)]


async def test_lines_that_are_refused_are_named_and_others_follow(
    log_server: LogServer, caplog: pytest.LogCaptureFixture
) -> None:
    log_server.refusals = [{"code": "VALIDATION", "message": "The log is full."}]

    with caplog.at_level(logging.WARNING, "graph.worker"):
        _, lease = await log_server.send(STEP, (b"a\n" * (MAX_BATCH_LINES + 2), "INFO"))

    label = "step a (attempt 2)"
    assert caplog.messages == [
        f"{label}: {MAX_BATCH_LINES} log lines were not accepted: The log is full.",
        f"{label}: 2 log lines were not accepted: The log is full.",
    ]
    assert not lease.lost.is_set()


async def test_a_step_whose_lease_is_over_sends_no_more(log_server: LogServer) -> None:
    log_server.refusals = [{"code": "INVALID_STATE", "message": "It has ended.", "currentState": "SUCCEEDED"}]

    with pytest.raises(LeaseLost, match=r"^It has ended\.$"):
        await log_server.send(STEP, (b"a\n" * (MAX_BATCH_LINES + 1), "INFO"))

    assert len(log_server.inputs) == 1


async def test_a_transform_that_succeeded_meanwhile_sends_no_more_and_loses_nothing(log_server: LogServer) -> None:
    log_server.refusals = [{"code": "INVALID_STATE", "message": "It has ended.", "currentState": "SUCCEEDED"}]

    _, lease = await log_server.send(TRANSFORM, (b"a\n" * (MAX_BATCH_LINES + 1), "INFO"))

    assert (len(log_server.inputs), lease.completed_elsewhere, lease.lost.is_set()) == (1, True, False)
