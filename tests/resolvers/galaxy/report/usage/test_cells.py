"""The usage that a report comes to: its jobs by tool, version, state and day, and how long they ran."""

import io
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resolvers.galaxy.report.limits import Limits
from resolvers.galaxy.report.read_report import Batch
from resolvers.galaxy.report.sandbox import pipe_frames
from resolvers.galaxy.report.usage import counter
from resolvers.galaxy.report.usage.cells import MAPPING, RELATIVE_ERROR, Cell, bin_of, cell_of
from tests.bench.reports import write_report
from tests.support.reports import read, report

TINY = Limits(window_bytes=1)
Place = tuple[str, str | None, str, str | None]


def place_of(cell: Cell) -> Place:
    return cell.tool_id, cell.tool_version, cell.state, cell.day


def summed(some: Iterable[Cell]) -> dict[Place, Cell]:
    """One cell for each place."""
    sums: dict[Place, Cell] = {}
    for cell in some:
        sum = sums.setdefault(place_of(cell), Cell(*place_of(cell)))
        known = [one for one in (sum.shortest, sum.longest, cell.shortest, cell.longest) if one is not None]
        sum.jobs += cell.jobs
        sum.runtimes = dict(Counter(sum.runtimes) + Counter(cell.runtimes))
        sum.shortest, sum.longest = (min(known), max(known)) if known else (None, None)
    return sums


words = st.sampled_from(["cat1", "a.b", "$x", "None of it", "é", "\0", "shed/repos/o/t/1.0"])
runtimes = (
    st.none() | st.decimals(-(10**4), 10**14, places=7) | st.sampled_from(["0E-7", "1e-30", "9e99", "-1.5", "60"])
)
times = st.sampled_from(["None", "0001-01-01 00:00:00", "2019-01-31 23:59:59.999999", "2019-02-01 00:00:00"])
jobs = st.tuples(words, words | st.just("None"), st.sampled_from(["ok", "error"]), times)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(jobs, runtimes), max_size=12), st.sampled_from([Limits(), TINY]), st.sampled_from([1, 3, 99]))
def test_cells_are_a_count_of_the_rows(found: list[tuple[Any, Any]], limits: Limits, most: int) -> None:
    content = report(
        jobs=["\t".join((str(id), *job)) for id, (job, _) in enumerate(found)] + ["3\tcat1\t1\tok\tNone", "x"],
        metric_num=[f"{id}\tcore\truntime_seconds\t{run}" for id, (_, run) in enumerate(found) if run is not None]
        + ["2\tcore\truntime_seconds\t5", "1\tcore\truntime_seconds\tNaN", "77\tcore\truntime_seconds\t1"],
    )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counter, "MAX_CHUNK_CELLS", most)
        reading = read(content, limits=limits)

    assert summed(reading.cells) == summed(map(cell_of, reading.jobs))
    assert sum(cell.jobs for cell in reading.cells) == len(reading.jobs) >= len(found)
    assert all(len(batch.cells) <= most for batch in reading.batches)


def test_cells_are_given_in_the_same_chunks_each_time_and_through_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter, "MAX_CHUNK_CELLS", 1000)
    to = io.BytesIO()
    write_report(to, 12_000)

    reading = read(to.getvalue())

    chunks = [batch.cells for batch in reading.batches if batch.cells]
    assert [len(chunk) <= counter.MAX_CHUNK_CELLS for chunk in chunks] == [True] * len(chunks)
    assert len(chunks) > 2
    assert chunks == [batch.cells for batch in read(to.getvalue()).batches if batch.cells]
    assert [pipe_frames.parse_cells(_payload(Batch(cells=chunk))) for chunk in chunks] == chunks
    assert summed(reading.cells) == summed(map(cell_of, reading.jobs))


def _payload(batch: Batch) -> bytes:
    return b"".join(pipe_frames.frames(batch)[1:])


def test_many_different_runtimes_make_a_chunk_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counter, "MAX_CHUNK_BINS", 10)
    some = counter.Cells()

    cell = some[b"cat1\t1\tokNone"]
    some.add_runtimes([cell] * 9, [b"%d" % 2**n for n in range(9)])
    too_few = list(some.chunks())
    some.add_runtimes([cell] * 2, [b"1", b"1000"])

    assert too_few == []
    assert list(some.chunks()) == [[cell]]
    assert (list(some.chunks()), list(some.remaining_chunks())) == ([], [])


def test_a_report_that_is_refused_on_the_way_gives_no_more_cells() -> None:
    rows = [f"{id}\tcat1\t1\tok\tNone" for id in range(30)]
    runs = [f"{id}\tcore\tx\t{'1' * 30}" for id in range(30)]

    reading = read(report(jobs=rows, metric_num=runs), limits=replace(TINY, max_window_bytes=60))

    assert reading.summary.refused
    assert reading.cells == []


@given(st.floats(1e-9, 1e12) | st.sampled_from([1e-9, 1e12, 1.0]))
def test_a_bin_is_right_to_one_percent(seconds: float) -> None:
    assert math.isclose(MAPPING.value(bin_of(seconds)), seconds, rel_tol=RELATIVE_ERROR * 1.0001)
    assert bin_of(-seconds) == -bin_of(seconds) < 0


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_longer_runtimes_have_no_lower_bins(one: float, other: float) -> None:
    assert bin_of(min(one, other)) <= bin_of(max(one, other))
    assert abs(bin_of(one)) < 4000
    assert bin_of(one) != 0 or abs(one) < 1e-9


def job(**changes: Any) -> dict[str, Any]:
    at = datetime(2019, 1, 31, 23, 30)
    return {"tool_id": "cat1", "tool_version": None, "state": "ok", "created_at": at, "runtime_seconds": 60.0} | changes


def test_the_day_of_a_job_is_that_of_utc() -> None:
    east = datetime(2019, 2, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))

    assert cell_of(job()) == Cell("cat1", None, "ok", "2019-01-31", 1, {bin_of(60): 1}, 60.0, 60.0)
    assert cell_of(job(created_at=east)).day == "2019-01-31"
    assert cell_of(job(created_at=datetime(2019, 2, 1, tzinfo=UTC))).day == "2019-02-01"
    assert cell_of(job(created_at=None)).day is None


def test_a_cell_can_take_a_job_away_again() -> None:
    assert cell_of(job(), sign=-1) == Cell("cat1", None, "ok", "2019-01-31", -1, {bin_of(60): -1})
    assert cell_of(job(runtime_seconds=None), sign=-1) == Cell("cat1", None, "ok", "2019-01-31", -1)


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_no_runtime(seconds: float) -> None:
    assert cell_of(job(runtime_seconds=seconds)) == cell_of(job(runtime_seconds=None))


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[1]", b"[{}]", b'[{"runtimes": {}, "x": 1}]', b'[{"runtimes": 1}]', b"1"]
)
def test_what_are_no_cells_is_not_taken_for_some(text: bytes) -> None:
    with pytest.raises(pipe_frames.BadFrame):
        pipe_frames.parse_cells(text)
