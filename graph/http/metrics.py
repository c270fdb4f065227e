"""Prometheus metrics: answers by outcome and duration, running operations, refusals.

All counting happens in the event loop's thread, so it does without the locks of the library's own counters; the values
are converted when they are scraped.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client import Counter as Counter_
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from graph.engine.admission import TOTAL_WEIGHT, Admission
from graph.http.send_buffers import SendBuffers

BUCKET_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
BUCKET_LABELS = (*map(str, map(float, BUCKET_SECONDS)), "+Inf")


class EventCounter(Collector):
    """A counter with one label, whose `expected` values are exported even before their first event."""

    def __init__(self, name: str, description: str, label: str, *expected: str) -> None:
        self._definition = name, description, label
        self._counts = Counter(dict.fromkeys(expected, 0))

    def add(self, value: str) -> None:
        """Increment the counter for this value of the label."""
        self._counts[value] += 1

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The metric for Prometheus."""
        name, description, label = self._definition
        family = CounterMetricFamily(name, description, labels=[label])
        for value, count in self._counts.items():
            family.add_metric([value], count)
        yield family


@dataclass
class HistogramState:
    """The number of answers by duration."""

    within: list[int] = field(default_factory=lambda: [0] * len(BUCKET_LABELS))
    """Answers that took longer than the previous bound, and at most this one."""
    seconds: float = 0.0


class DurationHistogram(Collector):
    """The duration of answers by path and status."""

    def __init__(self) -> None:
        self._times: dict[tuple[str, int], HistogramState] = {}

    def add(self, path: str, status: int, seconds: float) -> None:
        """Count an answer. `path` is one of a few."""
        times = self._times.get((path, status))
        if times is None:
            times = self._times[path, status] = HistogramState()
        times.within[bisect_left(BUCKET_SECONDS, seconds)] += 1
        times.seconds += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The metric for Prometheus."""
        family = HistogramMetricFamily(
            "provenance_http_request_seconds", "Time to answer an HTTP request.", labels=["path", "status"]
        )
        for (path, status), times in self._times.items():
            buckets = list(zip(BUCKET_LABELS, accumulate(times.within), strict=True))
            family.add_metric([path, str(status)], buckets, times.seconds)
        yield family


class Metrics:
    """The counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.operations = EventCounter(
            "provenance_graphql_operations",
            "GraphQL requests by outcome: ok, errors (some fields failed), unanswered (an outage), refused, failed.",
            "outcome",
            "ok",
            "errors",
        )
        self.executions = EventCounter(
            "provenance_graphql_executions",
            "GraphQL operations run, by how: planned, stepped_aside (a plan left it to the reference), reference.",
            "by",
            "planned",
            "stepped_aside",
            "reference",
        )
        self.refusals = EventCounter("provenance_graphql_refusals", "GraphQL requests refused, by code.", "code")
        self.durations = DurationHistogram()
        for collector in (self.operations, self.executions, self.refusals, self.durations):
            self.registry.register(collector)
        self.in_flight = 0
        Gauge(
            "provenance_http_requests_in_flight", "HTTP requests being answered.", registry=self.registry
        ).set_function(lambda: self.in_flight)
        self.sockets = Gauge("provenance_websockets_open", "WebSockets that are open.", registry=self.registry)
        self.subscriptions = Gauge(
            "provenance_subscriptions_open", "Subscriptions that are active.", registry=self.registry
        )

        self.without_descriptors = Counter_(
            "provenance_seconds_without_file_descriptors",
            "Seconds in which no file descriptor was left, so that connections and files could not be opened.",
            registry=self.registry,
        )
        self.unread = Counter_(
            "provenance_connections_unread",
            "Connections given up because their clients did not read what was sent.",
            registry=self.registry,
        )

    def export_load(self, admission: Admission, send_buffers: SendBuffers) -> None:
        """Export also the server's current load."""
        gauges: dict[str, tuple[str, Callable[[], float]]] = {
            "provenance_operations_weight": (
                f"Capacity that running operations take, of {TOTAL_WEIGHT} in all.",
                lambda: admission.running,
            ),
            "provenance_operations_waiting": ("Operations that wait for room.", lambda: admission.waiting),
            "provenance_unsent_bytes": ("Bytes that clients have yet to read.", lambda: send_buffers.size),
        }
        for name, (description, value) in gauges.items():
            Gauge(name, description, registry=self.registry).set_function(value)

    def count_refusal(self, code: str) -> None:
        """Count a refused request."""
        self.operations.add("refused")
        self.refusals.add(code)

    async def page(self, request: Request) -> Response:
        """The counters in Prometheus' text format."""
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)
