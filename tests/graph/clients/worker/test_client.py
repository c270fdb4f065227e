"""A worker asks again while the server cannot answer, and not sooner than it is told to."""

import time
from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from graph.clients.worker.client import open_client
from tests.support.storage import serve


def failed(code: str, data: object = None) -> dict[str, object]:
    return {"errors": [{"message": "Later.", "extensions": {"code": code}}], "data": data}


ANSWERS = [
    JSONResponse(failed("UNAVAILABLE"), 503, {"Retry-After": "1"}),
    JSONResponse(failed("OVERLOADED"), 503),
    JSONResponse(failed("TIMEOUT", {"viewer": None}), 200),
    Response("not JSON", 503, {"Retry-After": "soon"}),
    JSONResponse({"data": {"viewer": "me"}}),
]


@pytest.fixture
def address() -> Iterator[str]:
    """A server that fails in several ways before it answers."""
    answers = iter(ANSWERS)

    async def answer(request: Request) -> Response:
        return next(answers)

    with serve(Starlette(routes=[Route("/graphql", answer, methods=["POST"])])) as url:
        yield f"{url}/graphql"


async def test_a_server_that_cannot_answer_now_is_asked_again_after_the_time_it_names(address: str) -> None:
    async with open_client(address, "a-token") as server:
        began = time.monotonic()
        data = await server.query("{ viewer }")

    assert data == {"viewer": "me"}
    assert time.monotonic() - began >= 1
