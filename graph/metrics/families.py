"""Counters, gauges and histograms of one process.

All counting happens in the event loop's thread, so it does without the locks of the library's own counters.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

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
        self._counts: dict[str, int] = dict.fromkeys(expected if label else ("",), 0)

    def add(self, value: str) -> None:
        """Increment the counter for this value of the label."""
        try:
            self._counts[value] += 1
        except KeyError:
            self._counts[value] = 1

    def inc(self) -> None:
        """Increment a counter without a label."""
        self._counts[""] += 1

    def values(self) -> dict[Labels, Value]:
        return {(value,) if self.labels else (): count for value, count in self._counts.items()}


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


class Histogram(Family):
    """How often values were at most each bound, and their sum."""

    kind = Kind.HISTOGRAM

    def __init__(self, name: str, description: str, labels: Sequence[str], bounds: tuple[float, ...]) -> None:
        super().__init__(name, description, labels)
        self.bounds = bounds
        self._values: dict[tuple[object, ...], list[float]] = {}

    def add(self, value: float, *labels: object) -> None:
        """Count a value. Labels are made texts when they are exported, because a request should not wait for that."""
        values = self._values.get(labels)
        if values is None:
            values = self._values[labels] = empty_histogram(self.bounds)
        values[bisect_left(self.bounds, value)] += 1
        values[-1] += value

    def values(self) -> dict[Labels, Value]:
        return {tuple(map(str, labels)): list(values) for labels, values in self._values.items()}


def empty_histogram(bounds: Sequence[float]) -> list[float]:
    """The value of a histogram that has counted nothing: its buckets, that of infinity, and the sum."""
    return [0] * (len(bounds) + 1) + [0.0]
