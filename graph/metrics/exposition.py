"""Prometheus' text format of metrics, of one process or combined from several."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import accumulate

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from graph.metrics.families import Combine, FamilySnapshot, Kind, Value

CONTENT_TYPE = CONTENT_TYPE_LATEST


def exposition(families: Iterable[FamilySnapshot]) -> bytes:
    """The metrics in Prometheus' text format."""
    return generate_latest(_Collected(families))


def combine(processes: Iterable[Iterable[FamilySnapshot]]) -> list[FamilySnapshot]:
    """The metrics of several processes as one, each by its own rule; a histogram is added bucket by bucket."""
    combined: dict[str, FamilySnapshot] = {}
    for families in processes:
        for family in families:
            known = combined.get(family.name)
            if known is None:
                combined[family.name] = replace(family, values=dict(family.values))
                continue
            for labels, value in family.values.items():
                before = known.values.get(labels)
                known.values[labels] = value if before is None else _combination(before, value, family.combine)
    return list(combined.values())


def _combination(one: Value, other: Value, rule: Combine) -> Value:
    if isinstance(one, list) and isinstance(other, list):
        return [a + b for a, b in zip(one, other, strict=True)]
    assert not isinstance(one, list)
    assert not isinstance(other, list)
    match rule:
        case Combine.MAX:
            return max(one, other)
        case Combine.MIN:
            return min(one, other)
        case Combine.SUM:
            return one + other


class _Collected(Collector):
    """Snapshots in the form that Prometheus' library writes."""

    def __init__(self, families: Iterable[FamilySnapshot]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return map(_metric, self._families)


def _metric(family: FamilySnapshot) -> Metric:
    if family.kind is Kind.HISTOGRAM:
        return _histogram(family)
    make = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
    metric = make(family.name, family.description, labels=family.labels)
    for labels, value in family.values.items():
        assert not isinstance(value, list)
        metric.add_metric(list(labels), value)
    return metric


def _histogram(family: FamilySnapshot) -> Metric:
    metric = HistogramMetricFamily(family.name, family.description, labels=family.labels)
    bounds = (*map(str, family.bounds), "+Inf")
    for labels, values in family.values.items():
        assert isinstance(values, list)
        *within, total = values
        metric.add_metric(list(labels), list(zip(bounds, accumulate(within), strict=True)), total)
    return metric
