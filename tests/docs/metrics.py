"""The reference of what `/metrics` tells."""

from collections.abc import Iterable, Sequence

from prometheus_client.metrics import MetricWrapperBase

from graph.clients.worker.metrics import WorkerMetrics
from graph.engine.admission import Admission, Capacity
from graph.metrics.backlog import all_families
from graph.metrics.families import FamilySnapshot
from graph.metrics.registry import Metrics
from resolvers.activities.change_stream import ChangeFeed
from tests.docs.tables import table

PREFIX = "provenance_"
SUFFIXES = {"counter": "_total"}


def server_families() -> list[FamilySnapshot]:
    """The metrics of the server, of its process and of Python."""
    metrics = Metrics()
    metrics.export_load(Admission(Capacity(slots=1, memory=1)), lambda: 0)
    metrics.export_changes(ChangeFeed())
    metrics.export_database(dict)
    return [*metrics.snapshots(), *all_families()]


def server_rows() -> str:
    """Name, kind, labels and meaning of each metric of a server's own, as Prometheus is told them."""
    return _rows(
        (family.name, family.kind.value, family.labels, family.description)
        for family in server_families()
        if family.name.startswith(PREFIX)
    )


def worker_labels() -> dict[str, tuple[str, tuple[str, ...]]]:
    """The kind and the labels of each metric of a worker's own."""
    metrics = [metric for metric in vars(WorkerMetrics()).values() if isinstance(metric, MetricWrapperBase)]
    return {metric._name: (str(metric._type), tuple(metric._labelnames)) for metric in metrics}


def worker_rows() -> str:
    """Name, kind, labels and meaning of each metric of a worker's own."""
    labels = worker_labels()
    return _rows(
        (family.name, family.type, labels[family.name][1], family.documentation)
        for family in WorkerMetrics().registry.collect()
        if family.name.startswith(PREFIX)
    )


def _rows(families: Iterable[tuple[str, str, Sequence[str], str]]) -> str:
    named = (
        (f"`{name}{SUFFIXES.get(kind, '')}`", kind, ", ".join(f"`{label}`" for label in labels), description)
        for name, kind, labels, description in families
    )
    return table(("metric", "kind", "labels", "what it is"), sorted(named))
