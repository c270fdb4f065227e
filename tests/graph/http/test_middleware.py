"""Middleware applies to the responses of all addresses."""

import httpx2
import pytest
from pymongo.errors import ExecutionTimeout, ServerSelectionTimeoutError
from starlette.types import Receive, Scope, Send

from graph.http.middleware import InstrumentationMiddleware, RequestInstrumentation
from graph.metrics.registry import Metrics


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ServerSelectionTimeoutError("db.internal:27017: refused"), 503, "UNAVAILABLE"),
        (ExecutionTimeout("db.internal was too slow", 50), 503, "TIMEOUT"),
        (RuntimeError("db.internal is our fault"), 500, "INTERNAL_SERVER_ERROR"),
    ],
)
async def test_an_outage_is_told_from_a_fault_of_ours_at_every_address(
    error: Exception, status: int, code: str
) -> None:
    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    transport = httpx2.ASGITransport(InstrumentationMiddleware(failing, RequestInstrumentation(Metrics(), frozenset())))
    async with httpx2.AsyncClient(transport=transport, base_url="http://graph.example") as client:
        response = await client.get("/anything")

    assert response.status_code == status
    assert response.headers.get("retry-after") == ("2" if status == 503 else None)
    assert response.json()["errors"][0]["extensions"]["code"] == code
    assert "internal:" not in response.text
    assert "db.internal" not in response.text
