"""Counters, gauges and histograms of one process.

All counting happens in the event loop's thread, so it does without the locks of the library's own counters.
"""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

BATCH_SIZE = 200
"""Values of a distribution that are counted together."""

Labels = tuple[str, ...]
Value = float | list[float]
"""A number; for a histogram, how many values were in each bucket, and at the end the sum of all values."""


class Kind(StrEnum):
    """The type of a metric, as Prometheus names it."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Combine(StrEnum):
    """How the values of several processes make one value."""

    SUM = "sum"
    MAX = "max"
    MIN = "min"


@dataclass
class FamilySnapshot:
    """A metric's values at one moment, by the values of its labels."""

    name: str
    """Without the suffix `_total` of counters."""
    kind: Kind
    description: str
    labels: tuple[str, ...]
    values: dict[Labels, Value]
    combine: Combine = Combine.SUM
    bounds: tuple[float, ...] = ()
    """The upper bounds of a histogram's buckets, without infinity."""


class Family(ABC):
    """A metric with a name, a description for operators, and labels."""

    kind: Kind
    combine = Combine.SUM
    bounds: tuple[float, ...] = ()

    def __init__(self, name: str, description: str, labels: Sequence[str] = ()) -> None:
        self.name, self.description, self.labels = name, description, tuple(labels)

    @abstractmethod
    def values(self) -> dict[Labels, Value]:
        """The current values."""

    def snapshot(self) -> FamilySnapshot:
        """The metric with its current values."""
        return FamilySnapshot(
            self.name, self.kind, self.description, self.labels, self.values(), self.combine, self.bounds
        )


class Counter(Family):
    """A counter with at most one label, whose `expected` values are exported even before their first event."""

    kind = Kind.COUNTER

    def __init__(self, name: str, description: str, label: str = "", *expected: str) -> None:
        super().__init__(name, description, [label] if label else [])
        self.counts: dict[str, int] = dict.fromkeys(expected if label else ("",), 0)
        """The number of events by value. The hot path increments `expected` ones here, without a call."""

    def add(self, value: str) -> None:
        """Increment the counter for this value of the label."""
        self.counts[value] = self.counts.get(value, 0) + 1

    def inc(self) -> None:
        """Increment a counter without a label."""
        self.counts[""] += 1

    def values(self) -> dict[Labels, Value]:
        return {(value,) if self.labels else (): count for value, count in self.counts.items()}


class CallbackCounter(Family):
    """A counter that is kept elsewhere, by the value of its label; without a label by the empty text."""

    kind = Kind.COUNTER

    def __init__(self, name: str, description: str, label: str, read: Callable[[], Mapping[str, int]]) -> None:
        super().__init__(name, description, [label] if label else [])
        self._read = read

    def values(self) -> dict[Labels, Value]:
        return {(value,) if self.labels else (): count for value, count in self._read().items()}


class Gauge(Family):
    """A value that rises and falls."""

    kind = Kind.GAUGE

    def __init__(self, name: str, description: str) -> None:
        super().__init__(name, description)
        self._value = 0.0

    def set(self, value: float) -> None:
        """Set the value."""
        self._value = value

    @contextmanager
    def track_inprogress(self) -> Iterator[None]:
        """Count the block for as long as it lasts."""
        self._value += 1
        try:
            yield
        finally:
            self._value -= 1

    def values(self) -> dict[Labels, Value]:
        return {(): self._value}


class CallbackGauge(Family):
    """Values that are read when they are exported, by the values of the labels; none while they are unknown."""

    kind = Kind.GAUGE

    def __init__(
        self,
        name: str,
        description: str,
        labels: Sequence[str],
        read: Callable[[], Mapping[Labels, float]],
        combine: Combine = Combine.SUM,
    ) -> None:
        super().__init__(name, description, labels)
        self._read, self.combine = read, combine

    def values(self) -> dict[Labels, Value]:
        return dict(self._read())


class Distribution:
    """Values in buckets: how many are at most each bound, but above the one before, and the sum of all.

    Values are put aside first and counted in batches, sorted, which takes a third of the time of counting each.
    """

    __slots__ = ("_bounds", "_counts", "_sum", "pending")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self.pending: list[float] = []
        """Values that are not counted yet. Whoever appends to it calls `count` after BATCH_SIZE of them."""

    def count(self) -> None:
        """Count the values that were put aside."""
        values, self.pending = sorted(self.pending), []
        below = 0
        for bucket, bound in enumerate(self._bounds):
            until = bisect_right(values, bound)
            self._counts[bucket] += until - below
            below = until
        self._counts[-1] += len(values) - below
        self._sum += sum(values)

    @property
    def total(self) -> int:
        """How many values were counted."""
        return sum(self._counts)

    def values(self) -> list[float]:
        """How many values are in each bucket, and at the end the sum."""
        self.count()
        return [*self._counts, self._sum]


class Histogram(Family):
    """How often values were at most each bound, and their sum."""

    kind = Kind.HISTOGRAM

    def __init__(self, name: str, description: str, labels: Sequence[str], bounds: tuple[float, ...]) -> None:
        super().__init__(name, description, labels)
        self.bounds = bounds
        self._distributions: dict[tuple[object, ...], Distribution] = {}

    def add(self, value: float, *labels: object) -> None:
        """Count a value. Labels are made texts when they are exported, because a request should not wait for that."""
        distribution = self._distributions.get(labels)
        if distribution is None:
            distribution = self._distributions[labels] = Distribution(self.bounds)
        pending = distribution.pending
        pending.append(value)
        if len(pending) >= BATCH_SIZE:
            distribution.count()

    def values(self) -> dict[Labels, Value]:
        return {tuple(map(str, labels)): distribution.values() for labels, distribution in self._distributions.items()}
