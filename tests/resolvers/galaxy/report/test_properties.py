"""Properties of any report, and of any bytes."""

import gzip
import time
from datetime import datetime
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from resolvers.galaxy.report.limits import Limits
from tests.support.patience import within
from tests.support.reports import HEADERS, Reading, archive, entry, member, read, report, tar

TINY = Limits(window_bytes=1)
"""Every job that a sample met makes a window."""
ids = st.integers(0, 10**18 - 1)
few = st.integers(0, 30)
texts = st.text(st.characters(exclude_characters="\t\n\r", exclude_categories=["Cs"]), min_size=1, max_size=20)
names = texts.filter(lambda text: text != "None")
numbers = st.decimals(allow_nan=False, allow_infinity=False, places=7, min_value=-(10**19), max_value=10**19)
times = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31))
sizes = st.integers(0, 10**18 - 1)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def jobs(draw: st.DrawFn) -> dict[int, dict[str, Any]]:
    """Jobs with all that belongs to them."""
    return {
        id: {
            "job": (draw(names), draw(names), draw(names), draw(times)),
            "metrics": draw(st.lists(st.tuples(texts, texts, numbers), max_size=4)),
            "texts": draw(st.lists(st.tuples(texts, texts, texts), max_size=2)),
            "datasets": draw(
                st.lists(st.tuples(ids, names, sizes, names, st.sampled_from(["input", "output"])), max_size=3)
            ),
            "parameters": draw(st.lists(st.tuples(texts, values), max_size=3)),
        }
        for id in draw(st.lists(ids, max_size=8, unique=True))
    }


def rows_of(found: dict[int, dict[str, Any]], kind: str) -> list[str]:
    return ["\t".join(map(str, (id, *row))) for id, job in found.items() for row in job[kind]]


@settings(max_examples=150, deadline=None)
@given(jobs(), st.sampled_from([Limits(), TINY]))
def test_what_is_written_comes_back(found: dict[int, dict[str, Any]], limits: Limits) -> None:
    for job in found.values():
        job["as written"] = [
            (name, orjson.dumps(orjson.dumps(value).decode()).decode()) for name, value in job["parameters"]
        ]
    content = report(
        jobs=["\t".join(map(str, (id, *job["job"]))) for id, job in found.items()],
        metric_num=rows_of(found, "metrics"),
        metric_txt=rows_of(found, "texts"),
        params=rows_of(found, "as written"),
        datasets=rows_of(found, "datasets"),
    )

    reading = read(content, limits=limits)

    assert reading.rejections == []
    stored = {job["external_id"]: job for job in reading.jobs}
    assert stored.keys() == found.keys()
    for id, job in found.items():
        row, (tool, version, state, at) = stored[id], job["job"]
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        assert [row[name] for name in ("tool_id", "tool_version", "state", "created_at")] == [tool, version, state, at]
        assert [tuple(metric.values()) for metric in row["metrics"]] == [
            (plugin, name, str(value)) for plugin, name, value in (*job["metrics"], *job["texts"])
        ]
        assert [
            (one["external_id"], one["extension"], one["size_bytes"], one["parameter_name"], one["direction"])
            for one in row["datasets"]
        ] == job["datasets"]
        assert [(one["name"], orjson.loads(one["value"])) for one in row["parameters"]] == job["parameters"]


cells = st.one_of(
    st.sampled_from(
        [b"", b"None", b"ok", b"core", b"input", b"NaN", b"1.5", b"-1", b"x", b"2019-01-01 00:00:00", b'"1"']
    ),
    few.map(lambda number: b"%d" % number),
    st.binary(max_size=5),
)
lines = st.lists(cells, min_size=1, max_size=9).map(b"\t".join) | st.builds(
    lambda id, dataset: b"%d\t%d\tbam\t1\tp\tinput" % (id, dataset), few, few
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(HEADERS)), st.lists(lines, max_size=20), st.sampled_from([Limits(), TINY]))
def test_every_line_is_stored_or_rejected(kind: str, rows: list[bytes], limits: Limits) -> None:
    content = b"\n".join([HEADERS[kind].encode(), *(row.replace(b"\n", b"") for row in rows), b""])
    sound = [f"{n}\tcat1\t1.0\tok\tNone" for n in range(0, 30, 2)]
    members = [entry(f"1.{kind}.tsv", content)] + ([] if kind == "jobs" else [member("jobs", *sound)])

    reading = read(archive(*members), limits=limits)

    summary = reading.summary
    stored = summary.jobs if kind == "jobs" else summary.metrics + summary.datasets + summary.parameters
    half = sum("truncated row of job" in one.message for one in reading.rejections)
    # A line with a half row before a whole one counts for both.
    assert stored + summary.rejected == len(rows) + half
    assert all(2 <= line <= len(rows) + 1 for line in (one.line for one in reading.rejections))
    assert reading.jobs == [] or sum(summary.states.values()) == summary.jobs == len(reading.jobs)


def calm(content: bytes) -> Reading:
    """Read bytes that may be anything, in little time."""
    began = time.process_time()
    reading = read(content)
    assert time.process_time() - began < within(2)
    return reading


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes_are_refused(content: bytes) -> None:
    assert calm(content).summary.refused
    assert calm(gzip.compress(content)).summary.refused


WHOLE = tar(
    entry("a/" * 60 + "1.jobs.tsv", (HEADERS["jobs"] + "\n" + "7\tcat1\t1.0\tok\tNone\n" * 3).encode()),
    member("metric_num", "7\tcore\tx\t1.0"),
    entry("long" * 60 + ".params.tsv", b'job_id\tname\tvalue\n7\ta\t"1"\n'),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=12)), max_size=4))
def test_any_change_of_a_tar_ends_in_rows_or_rejections(changes: list[tuple[int, bytes]]) -> None:
    content = bytearray(WHOLE)
    for at, change in changes:
        content[at : at + len(change)] = change

    reading = calm(gzip.compress(bytes(content)))

    assert reading.summary.refused or reading.summary.jobs <= 3


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 400), st.binary(min_size=1, max_size=4))
def test_any_change_of_a_gzip_file_ends_in_rows_or_rejections(at: int, change: bytes) -> None:
    content = bytearray(gzip.compress(WHOLE))
    content[at : at + len(change)] = change

    reading = calm(bytes(content))

    assert reading.summary.refused or reading.summary.jobs == 1
