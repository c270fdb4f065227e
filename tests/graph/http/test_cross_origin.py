"""The requests that pages of other origins may send, and the responses that they may read."""

import httpx2
import pytest

from tests.support.running import Running


def preflight(faulty_server: Running, *headers: str, origin: str = "https://lab.example") -> httpx2.Response:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": ", ".join(headers)}
    return faulty_server.client.options(f"{faulty_server.url}/graphql", headers=asked | {"origin": origin})


def test_only_pages_of_allowed_origins_may_ask(faulty_server: Running) -> None:
    allowed = preflight(faulty_server, "content-type")
    foreign = preflight(faulty_server, "content-type", origin="https://evil.example")

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
def test_headers_that_are_read_trace_or_were_allowed_may_be_sent(faulty_server: Running, name: str) -> None:
    response = preflight(faulty_server, "content-type", name)

    assert response.status_code == 200
    assert name.lower() in response.headers["access-control-allow-headers"].lower().split(", ")


def test_other_headers_may_not_be_sent(faulty_server: Running) -> None:
    response = preflight(faulty_server, "content-type", "x-other")

    assert (response.status_code, response.text) == (400, "Disallowed CORS headers")
