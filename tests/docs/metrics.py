"""The reference of what `/metrics` tells."""

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from graph.engine.admission import Admission, Capacity
from graph.http.metrics import Metrics
from graph.http.send_buffers import SendBuffers
from tests.docs.tables import table

PREFIX = "provenance_"
SUFFIXES = {"counter": "_total"}


def families() -> Iterator[Metric]:
    """The metrics of the server's own; those of the process and of Python have other prefixes."""
    metrics = Metrics()
    metrics.export_load(Admission(Capacity(slots=1, memory=1)), SendBuffers(1))
    return (family for family in metrics.registry.collect() if family.name.startswith(PREFIX))


def rows() -> str:
    """Name, kind and meaning of each metric, as Prometheus is told them."""
    named = ((f"`{one.name}{SUFFIXES.get(one.type, '')}`", one.type, one.documentation) for one in families())
    return table(("metric", "kind", "what it is"), sorted(named))
