"""The metrics of a worker, for Prometheus, on a port of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)

from graph.clients.worker.options import ConfigurationError

SECONDS = (1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400)


class Ending(StrEnum):
    """The ways in which an activity ends for a worker."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRYABLE = "retryable"
    HANDED_BACK = "handed_back"
    LOST = "lost"


class WorkerMetrics:
    """The metrics of one worker process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.claims = Counter(
            "provenance_worker_claims",
            "Steps and transforms that this worker has claimed.",
            ["kind"],
            registry=self.registry,
        )
        self.running = Gauge(
            "provenance_worker_running",
            "Steps and transforms that this worker is running.",
            registry=self.registry,
        )
        self.completions = Counter(
            "provenance_worker_completions",
            "Steps and transforms that ended here, by status: succeeded, failed, retryable (failed, and may be tried "
            "again), handed_back, lost (the lease, or the end could not be reported).",
            ["kind", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "provenance_worker_activity_seconds",
            "Time from the claim of a step or transform to its end.",
            ["kind", "status"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.transport_failures = Counter(
            "provenance_worker_transport_failures",
            "Requests to the server or the bucket that were not answered, or with an error that may pass.",
            registry=self.registry,
        )
        self.uploaded_bytes = Counter(
            "provenance_worker_uploaded_bytes", "Bytes of outputs that were uploaded.", registry=self.registry
        )
        self._paused = Gauge(
            "provenance_worker_paused",
            "Whether this worker claims nothing for a while because it could not run a command, 1 or 0.",
            registry=self.registry,
        )

    def export_pause(self, is_paused: Callable[[], bool]) -> None:
        """Export also whether the worker pauses."""
        self._paused.set_function(is_paused)

    def count_end(self, kind: str, ending: Ending, seconds: float) -> None:
        """Count a step or transform that ended after so many seconds."""
        self.completions.labels(kind, ending).inc()
        self.seconds.labels(kind, ending).observe(seconds)


metrics = WorkerMetrics()


@contextmanager
def serve_metrics(host: str, port: int | None) -> Iterator[None]:
    """Serve the metrics on this port within the block; not without one. Raises ConfigurationError when it is taken."""
    if port is None:
        yield
        return
    try:
        server, thread = start_http_server(port, host, metrics.registry)
    except OSError as error:
        raise ConfigurationError(f"The metrics cannot be served on {host} port {port}: {error.strerror}.") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
