"""Metrics of several processes make one page, on which no value means less than on the page of one."""

from graph.metrics.exposition import combine, exposition
from graph.metrics.families import CallbackGauge, Combine, Counter, FamilySnapshot, Gauge, Histogram


def a_process(refused: int, lag: float, age: float) -> list[FamilySnapshot]:
    counter = Counter("refused", "Refused.", "code", "BUSY")
    for _ in range(refused):
        counter.add("BUSY")
    histogram = Histogram("lag_seconds", "Lag.", [], (0.1, 1.0))
    histogram.add(lag)
    gauge = CallbackGauge("age_seconds", "Age.", [], lambda: {(): age}, Combine.MAX)
    return [counter.snapshot(), histogram.snapshot(), gauge.snapshot()]


def test_counters_and_histograms_are_added_and_ages_are_not() -> None:
    page = exposition(combine([a_process(2, 0.05, 7), a_process(3, 0.5, 4)])).decode()

    assert page.splitlines() == [
        "# HELP refused_total Refused.",
        "# TYPE refused_total counter",
        'refused_total{code="BUSY"} 5.0',
        "# HELP lag_seconds Lag.",
        "# TYPE lag_seconds histogram",
        'lag_seconds_bucket{le="0.1"} 1.0',
        'lag_seconds_bucket{le="1.0"} 2.0',
        'lag_seconds_bucket{le="+Inf"} 2.0',
        "lag_seconds_count 2.0",
        "lag_seconds_sum 0.55",
        "# HELP age_seconds Age.",
        "# TYPE age_seconds gauge",
        "age_seconds 7.0",
    ]


def test_a_value_that_only_one_process_has_is_taken_as_it_is() -> None:
    one, other = Counter("refused", "Refused.", "code"), Counter("refused", "Refused.", "code")
    one.add("A")
    other.add("B")

    (family,) = combine([[one.snapshot()], [other.snapshot()]])

    assert family.values == {("A",): 1, ("B",): 1}


def test_combining_changes_none_of_the_snapshots() -> None:
    gauge = Gauge("open", "Open.")
    gauge.set(2)
    snapshot = gauge.snapshot()

    combine([[snapshot], [snapshot]])

    assert snapshot.values == {(): 2}


def test_a_gauge_counts_blocks_in_progress_also_when_they_fail() -> None:
    gauge = Gauge("open", "Open.")

    with gauge.track_inprogress():
        during = gauge.values()

    assert (during, gauge.values()) == ({(): 1}, {(): 0})
