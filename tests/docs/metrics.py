"""The reference of what `/metrics` tells."""

from collections.abc import Iterable

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


def rows(families: Iterable[FamilySnapshot] | None = None) -> str:
    """Name, kind, labels and meaning of each metric of our own, as Prometheus is told them."""
    own = (family for family in families or server_families() if family.name.startswith(PREFIX))
    named = (
        (
            f"`{family.name}{SUFFIXES.get(family.kind, '')}`",
            family.kind.value,
            ", ".join(f"`{label}`" for label in family.labels),
            family.description,
        )
        for family in own
    )
    return table(("metric", "kind", "labels", "what it is"), sorted(named))
