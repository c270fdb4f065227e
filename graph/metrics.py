"""What is counted for Prometheus: answers by outcome, their time, what is running, what was refused."""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from starlette.requests import Request
from starlette.responses import Response

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.operations = Counter(
            "provenance_graphql_operations",
            "GraphQL requests by outcome: ok, errors (some fields failed), refused, failed.",
            ["outcome"],
            registry=self.registry,
        )
        self.executions = Counter(
            "provenance_graphql_executions",
            "GraphQL operations run, by how: planned, stepped_aside (a plan left it to the reference), reference.",
            ["by"],
            registry=self.registry,
        )
        self.refusals = Counter(
            "provenance_graphql_refusals", "GraphQL requests refused, by code.", ["code"], registry=self.registry
        )
        # Children are looked up once: finding one by its labels costs more than counting.
        self.fine, self.failing = self.operations.labels("ok"), self.operations.labels("errors")
        self.by = {by: self.executions.labels(by) for by in ("planned", "stepped_aside", "reference")}
        self.seconds = Histogram(
            "provenance_http_request_seconds",
            "Time to answer an HTTP request.",
            ["path", "status"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "provenance_http_requests_in_flight", "HTTP requests being answered.", registry=self.registry
        )
        self.sockets = Gauge("provenance_websockets_open", "WebSockets that are open.", registry=self.registry)
        self.subscriptions = Gauge(
            "provenance_subscriptions_open", "Subscriptions that are followed.", registry=self.registry
        )

        self._seconds: dict[tuple[str, int], Histogram] = {}

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Note the time of an answer. `path` is one of a few."""
        found = self._seconds.get((path, status))
        if found is None:
            found = self._seconds[path, status] = self.seconds.labels(path, str(status))
        found.observe(seconds)

    def refused(self, code: str) -> None:
        """Count a request that was refused."""
        self.operations.labels("refused").inc()
        self.refusals.labels(code).inc()

    async def page(self, request: Request) -> Response:
        """The counters in Prometheus' text format."""
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)
