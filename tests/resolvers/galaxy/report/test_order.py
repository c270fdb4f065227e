"""Reports in any order, and of any size, come to the same jobs in bounded memory."""

import io
import random
import tarfile
from collections.abc import Callable
from functools import cache

import pytest

from resolvers.galaxy.report.limits import Limits
from tests.bench.reports import in_disorder, write_report
from tests.support.reports import Reading, archive, entry, read, report

SMALL = Limits(window_bytes=64 * 1024)
"""Windows so small that a report of some megabytes has many."""


@cache
def written(jobs: int) -> bytes:
    """A report of sorted members."""
    to = io.BytesIO()
    write_report(to, jobs)
    return to.getvalue()


@cache
def read_at_once(content: bytes) -> Reading:
    """Read a report in windows of the usual size."""
    return read(content)


def by_job(reading: Reading) -> dict[int, tuple[object, ...]]:
    """The stored values of each job, independent of the order of its metrics and datasets."""
    assert len({job["external_id"] for job in reading.jobs}) == len(reading.jobs)
    return {
        job["external_id"]: (
            *(job[name] for name in ("tool_id", "tool_version", "state", "created_at", "runtime_seconds")),
            sorted((metric["name"], metric["text"]) for metric in job["metrics"]),
            sorted(dataset["external_id"] for dataset in job["datasets"]),
        )
        for job in reading.jobs
    }


def batches_of_a_thousand(rows: list[bytes]) -> list[bytes]:
    """As exporters write: batches of a thousand numbers in order, in any order within."""
    return sorted(rows, key=lambda row: (int(row.split(b"\t")[0]) // 1000, random.Random(row).random()))


def rearranged(content: bytes, order: Callable[[list[bytes]], list[bytes]]) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(content)) as source:
        entries = []
        for info in source:
            member = source.extractfile(info)
            assert member is not None
            header, *rows = member.read().splitlines(keepends=True)
            entries.append(entry(info.name, header + b"".join(order(rows))))
    return archive(*entries)


@pytest.mark.parametrize("limits", [Limits(), SMALL])
@pytest.mark.parametrize("order", ["batches", "disorder", "descending", "members"])
def test_the_order_of_rows_and_members_changes_no_job(order: str, limits: Limits) -> None:
    content = written(6_000)
    expected = by_job(read_at_once(content))
    orders = {
        "batches": lambda: rearranged(content, batches_of_a_thousand),
        "disorder": lambda: in_disorder(content),
        "descending": lambda: rearranged(content, lambda rows: rows[::-1]),
        "members": lambda: content_with_members_reversed(content),
    }

    reading = read(orders[order](), limits=limits)

    assert reading.rejections == []
    assert by_job(reading) == expected
    assert (reading.summary.jobs, reading.summary.metrics, reading.summary.datasets) == (6_000, 30_000, 12_000)


def content_with_members_reversed(content: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(content)) as source:
        found = [(info.name, source.extractfile(info)) for info in source]
        return archive(*(entry(name, member.read()) for name, member in reversed(found) if member))


def test_windows_do_not_show_in_what_is_given() -> None:
    content = written(6_000)

    assert [*read(content, limits=SMALL).raw] == [*read_at_once(content).raw]


def test_bad_rows_are_rejected_once_whatever_window_meets_them() -> None:
    jobs = [f"{n}\tcat1\t1.0\tok\tNone" for n in range(3000)]
    metrics = [f"{n}\tcore\tx\t{'NaN' if n % 500 == 7 else n}" for n in range(6000)]
    jobs[1000] = "1000\tcat1\t" + jobs[2999]
    random.Random(1).shuffle(metrics)
    content = report(jobs=jobs[:2999], metric_num=metrics)

    whole, cut = read(content), read(content, limits=Limits(window_bytes=20_000))

    assert sorted(whole.faults) == sorted(cut.faults)
    assert whole.summary == cut.summary
    codes = [code for _, _, code in whole.faults]
    # Twelve NaN; the half row's job and half of the metrics, but for six of them NaN, have no job.
    assert {code: codes.count(code) for code in codes} == {"MALFORMED_ROW": 1, "BAD_NUMBER": 12, "ORPHAN_ROW": 2995}
    assert whole.summary.metrics == 6000 - 12 - 2995


def test_rows_that_the_sample_did_not_foresee_are_refused_rather_than_held() -> None:
    reading = read(written(6_000), limits=Limits(max_window_bytes=400_000))

    assert reading.summary.refused
    assert "cannot be joined in bounded memory" in reading.rejections[-1].message
