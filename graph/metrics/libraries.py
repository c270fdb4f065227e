"""Metrics of the process and of Python, which Prometheus' library reads from the system."""

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.registry import Collector

from graph.metrics.families import Combine, FamilySnapshot, Kind

COMBINATIONS = {
    "process_start_time_seconds": Combine.MIN,
    "process_max_fds": Combine.MAX,
    "python_info": Combine.MAX,
}
"""How values of several processes are combined where the sum would mean nothing."""


class LibraryMetrics:
    """Memory, CPU, file descriptors and garbage collections of this process."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._collectors: tuple[Collector, ...] = (
            ProcessCollector(registry=registry),
            PlatformCollector(registry=registry),
            GCCollector(registry=registry),
        )

    def snapshots(self) -> list[FamilySnapshot]:
        """The metrics with their current values."""
        families = (family for collector in self._collectors for family in collector.collect())
        return [
            FamilySnapshot(
                family.name,
                Kind(family.type),
                family.documentation,
                tuple(family.samples[0].labels) if family.samples else (),
                {tuple(sample.labels.values()): sample.value for sample in family.samples},
                COMBINATIONS.get(family.name, Combine.SUM),
            )
            for family in families
        ]
