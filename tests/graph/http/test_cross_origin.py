"""The requests that pages of other origins may send, and the responses that they may read."""

import httpx2
import pytest

from tests.support.running import Running


def preflight(altered: Running, *headers: str, origin: str = "https://lab.example") -> httpx2.Response:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": ", ".join(headers)}
    return altered.client.options(f"{altered.url}/graphql", headers=asked | {"origin": origin})


def test_only_pages_of_allowed_origins_may_ask(altered: Running) -> None:
    allowed = preflight(altered, "content-type")
    foreign = preflight(altered, "content-type", origin="https://evil.example")

    assert allowed.headers["access-control-allow-origin"] == "https://lab.example"
    assert foreign.status_code == 400
    assert "access-control-allow-origin" not in foreign.headers


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "content-encoding",
        "content-type",
        "x-request-id",
        "traceparent",
        "tracestate",
        "baggage",
        "sentry-trace",
        "apollographql-client-name",
        "apollographql-client-version",
        "X-Tenant",
        "x-lab",
    ],
)
def test_headers_that_are_read_trace_or_were_allowed_may_be_sent(altered: Running, name: str) -> None:
    response = preflight(altered, "content-type", name)

    assert response.status_code == 200
    assert name.lower() in response.headers["access-control-allow-headers"].lower().split(", ")


def test_other_headers_may_not_be_sent(altered: Running) -> None:
    response = preflight(altered, "content-type", "x-other")

    assert (response.status_code, response.text) == (400, "Disallowed CORS headers")
