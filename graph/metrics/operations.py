"""Metrics of GraphQL operations: by name, kind, role of the caller, and the code of the first error."""

from graph.engine.operation_identity import OperationIdentity
from graph.metrics.families import Combine, Distribution, FamilySnapshot, Kind, Labels, Value

MAX_OPERATION_NAMES = 100
"""Names with metrics of their own; operations of all others are counted together."""
MAX_ANONYMOUS_NAMES = 50
"""Names among them that anonymous callers may bring, so that they cannot use up all of them."""
OTHER = "other"
LABELS = ("operation", "kind", "role", "code")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BYTES = (100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0, 10_000_000.0)


class OperationSeries:
    """The answers with equal labels, by duration and size."""

    __slots__ = ("bytes", "pending", "seconds")

    def __init__(self) -> None:
        self.seconds, self.bytes = Distribution(SECONDS), Distribution(BYTES)
        self.pending: list[tuple[float, int]] = []
        """Seconds and bytes of answers that are not counted yet. Whoever appends calls `count` after BATCH_SIZE."""

    def count(self) -> None:
        """Count the answers that were put aside."""
        pending, self.pending = self.pending, []
        self.seconds.pending += [seconds for seconds, _ in pending]
        self.bytes.pending += [size for _, size in pending]
        self.seconds.count()
        self.bytes.count()


class OperationMetrics:
    """The answers to operations, a bounded number of names apart."""

    def __init__(self) -> None:
        self.series: dict[tuple[OperationIdentity, str, str], OperationSeries] = {}
        """The answers by identity, role and code, empty where there was no error."""
        self._names: set[str] = {""}
        self._anonymous_names = 0

    def series_of(self, identity: OperationIdentity, role: str, code: str) -> OperationSeries:
        """Where answers with this identity, role and code are counted. Look into `series` first."""
        bounded = OperationIdentity(self._label(identity.name, role), identity.kind)
        return self.series.setdefault((bounded, role, code), OperationSeries())

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
        answers, seconds, sizes = dict[Labels, Value](), dict[Labels, Value](), dict[Labels, Value]()
        for (identity, role, code), series in self.series.items():
            labels = (identity.name, identity.kind, role.lower(), code)
            series.count()
            seconds[labels], sizes[labels] = series.seconds.values(), series.bytes.values()
            answers[labels] = series.seconds.total
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
                seconds,
                Combine.SUM,
                SECONDS,
            ),
            FamilySnapshot(
                "provenance_graphql_operation_answer_bytes",
                Kind.HISTOGRAM,
                "Size of the text of a GraphQL answer.",
                LABELS,
                sizes,
                Combine.SUM,
                BYTES,
            ),
        ]
