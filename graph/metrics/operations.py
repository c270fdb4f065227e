"""Metrics of GraphQL operations: by name, kind, role of the caller, and the code of the first error."""

from bisect import bisect_left

from graph.engine.operation_identity import OperationIdentity
from graph.metrics.families import Combine, FamilySnapshot, Kind, Labels, empty_histogram

MAX_OPERATION_NAMES = 100
"""Names with metrics of their own; operations of all others are counted together."""
MAX_ANONYMOUS_NAMES = 50
"""Names among them that anonymous callers may bring, so that they cannot use up all of them."""
OTHER = "other"
LABELS = ("operation", "kind", "role", "code")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BYTES = (100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0, 10_000_000.0)


class OperationSeries:
    """The number of answers with equal labels, by duration and size."""

    __slots__ = ("bytes", "seconds")

    def __init__(self) -> None:
        self.seconds = empty_histogram(SECONDS)
        self.bytes = empty_histogram(BYTES)


class OperationMetrics:
    """The answers to operations, a bounded number of names apart."""

    def __init__(self) -> None:
        self._series: dict[tuple[OperationIdentity, str, str], OperationSeries] = {}
        self._names: set[str] = {""}
        self._anonymous_names = 0

    def add(self, identity: OperationIdentity, role: str, code: str, seconds: float, size: int) -> None:
        """Count an answer of so many bytes that took so long. `code` is empty where there was no error."""
        series = self._series.get((identity, role, code))
        if series is None:
            series = self._series_of(OperationIdentity(self._label(identity.name, role), identity.kind), role, code)
        within = series.seconds
        within[bisect_left(SECONDS, seconds)] += 1
        within[-1] += seconds
        within = series.bytes
        within[bisect_left(BYTES, size)] += 1
        within[-1] += size

    def _series_of(self, identity: OperationIdentity, role: str, code: str) -> OperationSeries:
        return self._series.setdefault((identity, role, code), OperationSeries())

    def _label(self, name: str, role: str) -> str:
        """The name, if it is known or there is room for one more."""
        if name in self._names:
            return name
        is_anonymous = role == "ANONYMOUS"
        if len(self._names) > MAX_OPERATION_NAMES or (is_anonymous and self._anonymous_names >= MAX_ANONYMOUS_NAMES):
            return OTHER
        self._anonymous_names += is_anonymous
        self._names.add(name)
        return name

    def snapshots(self) -> list[FamilySnapshot]:
        """The metrics with their current values. A subscription counts once for each of its deliveries."""
        labelled = {
            (identity.name, identity.kind, role.lower(), code): series
            for (identity, role, code), series in self._series.items()
        }
        answers: dict[Labels, float | list[float]] = {
            labels: sum(series.seconds[:-1]) for labels, series in labelled.items()
        }
        return [
            FamilySnapshot(
                "provenance_graphql_operation_answers",
                Kind.COUNTER,
                "Answers to GraphQL operations; a subscription counts once for each delivery. The code is that of the "
                "first error, empty without errors; the operation is empty for anonymous operations.",
                LABELS,
                answers,
            ),
            FamilySnapshot(
                "provenance_graphql_operation_seconds",
                Kind.HISTOGRAM,
                "Time to answer a GraphQL operation, from the request to the answer's text.",
                LABELS,
                {labels: list(series.seconds) for labels, series in labelled.items()},
                Combine.SUM,
                SECONDS,
            ),
            FamilySnapshot(
                "provenance_graphql_operation_answer_bytes",
                Kind.HISTOGRAM,
                "Size of the text of a GraphQL answer.",
                LABELS,
                {labels: list(series.bytes) for labels, series in labelled.items()},
                Combine.SUM,
                BYTES,
            ),
        ]
