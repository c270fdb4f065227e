"""Runtimes of jobs: percentiles and a histogram, exact for values and estimated for sketches of them."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

from pydantic import Field

from documents.base import EmbeddedModel
from resolvers.galaxy.report.usage.cells import MAPPING, RELATIVE_ERROR, bin_of

HISTOGRAM_BINS = 10


class HistogramBin(EmbeddedModel):
    """Runtimes from `from_` up to, but without `to`; the last bin is closed."""

    from_: float = Field(alias="from")
    to: float
    count: int


class RuntimeDistribution(EmbeddedModel):
    """Runtimes of jobs, in seconds. `relative_error` is 0 where they are exact."""

    p50: float
    p90: float
    p99: float
    max: float
    samples: int
    relative_error: float
    histogram: list[HistogramBin]


Distribution = dict[str, Any]
"""A RuntimeDistribution as a row."""


class RuntimeSketch:
    """Counts of runtimes by bin, which can be added and subtracted."""

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.shortest = math.inf
        self.longest = -math.inf
        self._inexact_bins: set[int] = set()

    def add(self, bins: Sequence[int], counts: Sequence[int]) -> None:
        """Count runtimes of which only the bins are known."""
        sums = self.counts
        for bin, count in zip(bins, counts, strict=True):
            sums[bin] = sums.get(bin, 0) + count
        if bins:
            self._inexact_bins |= {min(bins), max(bins)}

    def add_with_extremes(
        self, bins: Sequence[int], counts: Sequence[int], shortest: float | None, longest: float | None
    ) -> None:
        """Count runtimes with known extremes; without extremes when they are subtracted."""
        if shortest is None or longest is None:
            self._inexact_bins |= set(bins)
        else:
            self.shortest, self.longest = min(self.shortest, shortest), max(self.longest, longest)
        sums = self.counts
        for bin, count in zip(bins, counts, strict=True):
            sums[bin] = sums.get(bin, 0) + count

    @property
    def samples(self) -> int:
        """The number of counted runtimes."""
        return sum(self.counts.values())

    def distribution(self) -> Distribution | None:
        """The distribution, right to RELATIVE_ERROR; None when nothing is counted."""
        bins = sorted(bin for bin, count in self.counts.items() if count > 0)
        if not bins:
            return None
        numbers = [self.counts[bin] for bin in bins]
        shortest, longest = self._extreme(bins[0], self.shortest), self._extreme(bins[-1], self.longest)
        values = [min(max(_seconds(bin), shortest), longest) for bin in bins]
        return _distribution(values, numbers, shortest, longest, RELATIVE_ERROR)

    def _extreme(self, bin: int, extreme: float) -> float:
        """The known extreme, unless it may belong to a runtime that was subtracted or counted elsewhere."""
        is_exact = math.isfinite(extreme) and bin not in self._inexact_bins and bin_of(extreme) == bin
        return extreme if is_exact else _seconds(bin)


def exact_distribution(values: list[float]) -> Distribution | None:
    """The exact distribution of values, by numpy's default definitions; None when there are none."""
    if not values:
        return None
    ordered = sorted(values)
    return _distribution(ordered, [1] * len(ordered), ordered[0], ordered[-1], 0.0)


@lru_cache(maxsize=10_000)
def _seconds(bin: int) -> float:
    """The value that represents all runtimes of a bin."""
    if bin == 0:
        return 0.0
    return math.copysign(MAPPING.value(abs(bin)), bin)


def _distribution(
    values: list[float], counts: list[int], shortest: float, longest: float, relative_error: float
) -> Distribution:
    reached = list(accumulate(counts))
    return {
        **{f"p{percent}": _percentile(values, reached, percent) for percent in (50, 90, 99)},
        "max": longest,
        "samples": reached[-1],
        "relative_error": relative_error,
        "histogram": _histogram(values, counts, shortest, longest),
    }


def _percentile(values: list[float], reached: list[int], percent: int) -> float:
    """The percentile, interpolated between the two values on both sides of the rank."""
    rank = (reached[-1] - 1) * percent / 100
    lower = values[bisect_right(reached, math.floor(rank))]
    upper = values[bisect_right(reached, math.ceil(rank))]
    share = rank - math.floor(rank)
    # Computed from the nearer side, so that rounding never leaves the range of equal values.
    return upper - (upper - lower) * (1 - share) if share >= 0.5 else lower + (upper - lower) * share


def _histogram(values: list[float], counts: list[int], shortest: float, longest: float) -> list[dict[str, Any]]:
    if shortest == longest:
        shortest, longest = shortest - 0.5, longest + 0.5
    step = (longest - shortest) / HISTOGRAM_BINS
    edges = [*(shortest + step * number for number in range(HISTOGRAM_BINS)), longest]
    numbers = [0] * HISTOGRAM_BINS
    for value, count in zip(values, counts, strict=True):
        numbers[min(max(bisect_right(edges, value) - 1, 0), HISTOGRAM_BINS - 1)] += count
    return [{"from": edges[n], "to": edges[n + 1], "count": count} for n, count in enumerate(numbers)]
