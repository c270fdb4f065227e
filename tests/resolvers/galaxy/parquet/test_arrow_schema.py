"""Rows of reports as columns: nothing is lost and nothing is made up."""

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolvers.galaxy.parquet.arrow_schema import Origin, record_batch, schema
from resolvers.galaxy.parquet.month_partitions import open_partitions
from resolvers.galaxy.report import PARSER_VERSION
from resolvers.galaxy.report.job_bson import number_of
from tests.support.needs import need_shared_data
from tests.support.reports import read, report

AT = datetime(2019, 2, 1, 12, tzinfo=UTC)
ORIGIN = Origin("5e1f0c1a-7a53-4d5e-9f0b-2f4f7c1d9a60", "archive_1", "ab" * 32, AT)
FULL = report(
    jobs=["7\tcat1\t1.0.0\tok\t2019-01-31 23:59:59.999999", "8\tcat2\tNone\terror\tNone"],
    metric_num=["7\tcore\truntime_seconds\t12.5000000", "7\tcore\tgalaxy_slots\t0E-7"],
    metric_txt=["7\tenv\tPATH\t/bin", "7\tenv\tSLOTS\t4"],
    params=['7\tseed\t"42"'],
    datasets=["7\t9\tbam\t12345678901234\tinput1\tinput", "7\t10\tNone\t-1\tNone\toutput"],
)


def shown(row: dict[str, Any], *, parameters: bool = False) -> dict[str, Any]:
    """The row of a table that a stored job must give."""
    at = row["created_at"] and row["created_at"].replace(tzinfo=UTC)
    numbered = [{**metric, "number": number_of(metric["text"])} for metric in row["metrics"]]
    names = ["external_id", "tool_id", "tool_version", "state", "runtime_seconds", "datasets"]
    return {
        **{name: row[name] for name in [*names, *(["parameters"] if parameters else [])]},
        "created_at": at,
        "metrics": numbered,
        "month": f"{at:%Y-%m}" if at and 2000 <= at.year < 2100 else "unknown",
        "archive": "archive_1",
        "sha256": "ab" * 32,
        "parser_version": PARSER_VERSION,
        "reported_at": AT,
        "instance": ORIGIN.instance,
    }


def test_a_job_has_all_that_is_stored_of_it_but_its_parameters() -> None:
    reading = read(FULL)

    batch = record_batch(reading.raw, ORIGIN)

    full, bare = batch.to_pylist()
    assert [full, bare] == [shown(job) for job in reading.jobs]
    assert (full["created_at"], full["month"]) == (datetime(2019, 1, 31, 23, 59, 59, 999000, UTC), "2019-01")
    assert [metric["number"] for metric in full["metrics"]] == [12.5, 0.0, None, 4.0]
    assert full["datasets"][1]["size_bytes"] is None
    assert (bare["created_at"], bare["month"], bare["metrics"]) == (None, "unknown", [])
    assert "42" not in json.dumps(batch.to_pylist(), default=str)


def test_parameters_are_there_when_they_are_asked_for() -> None:
    reading = read(FULL)

    rows = record_batch(reading.raw, ORIGIN, parameters=True).to_pylist()

    assert rows == [shown(job, parameters=True) for job in reading.jobs]
    assert rows[0]["parameters"] == [{"name": "seed", "value": "42"}]


def test_the_columns_are_those_that_are_documented() -> None:
    metric = pa.struct({"plugin": pa.string(), "name": pa.string(), "text": pa.string(), "number": pa.float64()})
    dataset = pa.struct(
        {
            "external_id": pa.int64(),
            "size_bytes": pa.int64(),
            "direction": pa.string(),
            "extension": pa.string(),
            "parameter_name": pa.string(),
        }
    )
    time = pa.timestamp("ms", tz="UTC")

    assert schema() == pa.schema(
        {
            "archive": pa.string(),
            "sha256": pa.string(),
            "parser_version": pa.string(),
            "reported_at": time,
            "external_id": pa.int64(),
            "tool_id": pa.string(),
            "tool_version": pa.string(),
            "state": pa.string(),
            "created_at": time,
            "runtime_seconds": pa.float64(),
            "metrics": pa.list_(metric),
            "datasets": pa.list_(dataset),
            "instance": pa.string(),
            "month": pa.string(),
        }
    )


def test_the_real_report_comes_through_unchanged() -> None:
    (real,) = (need_shared_data() / "grt" / "real_v1").glob("*.tar.gz")
    reading = read(real.read_bytes())

    rows = record_batch(reading.raw, ORIGIN, parameters=True).to_pylist()

    assert rows == [shown(job, parameters=True) for job in reading.jobs]
    assert (len(rows), sum(len(row["metrics"]) for row in rows)) == (98, 388)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *[("4", 4.0), ("-4.25", -4.25), ("+5", 5.0), ("0E-7", 0.0), (".5", 0.5), ("5.", 5.0), ("1e308", 1e308)],
        *[
            (text, None)
            for text in ("", "x", "nan", "inf", "1_000", " 4", "4 ", "4\n", "1e309", "0x10", "٤", ".", "e5")
        ],
    ],
)
def test_a_metric_has_a_number_where_its_text_is_one(text: str, number: float | None) -> None:
    assert number_of(text) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_is_the_one_that_was_written(number: float) -> None:
    assert number_of(repr(number)) == number
    assert number_of(f"{number:.7f}") == pytest.approx(number, abs=1e-7) or not math.isfinite(number)


@given(
    st.lists(
        st.tuples(
            st.datetimes(datetime(1990, 1, 1), datetime(2110, 1, 1)) | st.none(),
            st.sampled_from(["ok", "error", "ünï", "-"]),
            st.lists(st.sampled_from(["1.0", "x", "2E+3"]), max_size=3),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_months_hold_every_row_once_and_in_order(jobs: list[tuple[datetime | None, str, list[str]]]) -> None:
    content = report(
        jobs=[f"{number}\tcat1\tNone\t{state}\t{at}" for number, (at, state, _) in enumerate(jobs)],
        metric_txt=[f"{n}\tp\tn{i}\t{text}" for n, job in enumerate(jobs) for i, text in enumerate(job[2])],
    )
    reading = read(content)

    with open_partitions(schema()) as months:
        for batch in reading.batches:
            if batch.rows:
                months.add(record_batch(batch.rows, ORIGIN))
        found = {
            month: [row for group in months.groups(month) for row in group.to_pylist()] for month in months.names()
        }

    wanted = [shown(job) for job in reading.jobs]
    assert found == {
        month: [row for row in wanted if row["month"] == month] for month in sorted({row["month"] for row in wanted})
    }


def test_rows_of_a_month_are_parted_into_groups_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resolvers.galaxy.parquet.month_partitions.MAX_BUFFERED_BYTES", 20_000)
    monkeypatch.setattr("resolvers.galaxy.parquet.month_partitions.ROW_GROUP_BYTES", 40_000)
    at = datetime(2019, 1, 1)
    reading = read(report(jobs=[f"{n}\tcat1\t1\tok\t{at + timedelta(hours=n)}" for n in range(2000)]))

    with open_partitions(schema()) as months:
        for start in range(0, 2000, 50):
            months.add(record_batch(reading.raw[start : start + 50], ORIGIN))
        groups = [group for month in months.names() for group in months.groups(month)]

    assert sum(group.num_rows for group in groups) == 2000
    assert max(group.nbytes for group in groups) < 40_000 + 20_000 + 20_000
    assert len(groups) > len({row["month"] for group in groups for row in group.to_pylist()})


def test_memory_does_not_grow_with_the_report() -> None:
    at = datetime(2019, 1, 1)
    reading = read(report(jobs=[f"{n}\tcat1\t{'x' * 200}\tok\t{at + timedelta(hours=n)}" for n in range(1000)]))
    batch = record_batch(reading.raw, ORIGIN)
    repeated = 2**28 // batch.nbytes
    before = pa.default_memory_pool()
    counting = pa.proxy_memory_pool(before)
    pa.set_memory_pool(counting)

    try:
        with open_partitions(schema()) as months:
            for _ in range(repeated):
                months.add(batch)
            for month in months.names():
                with months.parquet(month) as file:
                    assert file.read(4) == b"PAR1"
        most = counting.max_memory()
    finally:
        pa.set_memory_pool(before)

    # Of 256 MB of rows.
    assert 2**24 < most < 2**27
