"""Rows of sound and of half-sound reports: each is stored, or rejected with its line."""

from datetime import datetime

import bson
import pytest

from resolvers.galaxy.report.declared_counts import DeclaredCounts
from resolvers.galaxy.report.digest import RowsDigest, row_digest
from resolvers.galaxy.report.job_bson import RowPrefix
from resolvers.galaxy.report.limits import Limits
from tests.support.reports import JOB, archive, entry, member, read, report


def test_a_job_is_stored_with_its_metrics_datasets_and_parameters() -> None:
    content = report(
        jobs=[JOB],
        metric_num=["7\tcore\truntime_seconds\t12.5000000", "7\tcgroup\tmemory.limit\t9223372036854771712.0000000"],
        metric_txt=["7\tenv\tHOSTNAME\tnode1"],
        params=['7\tdbkey\t"\\"hg19\\""', '7\tinput\t"{\\"values\\": [{\\"id\\": 1}]}"', '7\tsecret\t"null"'],
        datasets=["7\t21\tbam\t240000000\tsérie\tinput", "7\t22\tNone\t-1\tNone\toutput"],
    )

    reading = read(content, prefix=RowPrefix("job_i_1_", {"instance_ref": "instance_i", "archive_ref": "archive_a"}))

    assert reading.rejections == []
    (job,) = reading.jobs
    digest = job.pop("digest")
    assert list(job.items()) == list(
        {
            "_id": "job_i_1_7",
            "instance_ref": "instance_i",
            "archive_ref": "archive_a",
            "external_id": 7,
            "tool_id": "cat1",
            "tool_version": "1.0.0",
            "state": "ok",
            "created_at": datetime(2019, 1, 1, 18, 35, 8, 701000),
            "runtime_seconds": 12.5,
            "metrics": [
                {"plugin": "core", "name": "runtime_seconds", "text": "12.5000000"},
                {"plugin": "cgroup", "name": "memory.limit", "text": "9223372036854771712.0000000"},
                {"plugin": "env", "name": "HOSTNAME", "text": "node1"},
            ],
            "datasets": [
                {
                    "external_id": 21,
                    "size_bytes": 240000000,
                    "direction": "input",
                    "extension": "bam",
                    "parameter_name": "série",
                },
                {
                    "external_id": 22,
                    "size_bytes": None,
                    "direction": "output",
                    "extension": None,
                    "parameter_name": None,
                },
            ],
            "parameters": [
                {"name": "dbkey", "value": '"hg19"'},
                {"name": "input", "value": '{"values": [{"id": 1}]}'},
                {"name": "secret", "value": "null"},
            ],
        }.items()
    )
    assert len(digest) == 16


def test_the_row_is_bson_as_the_driver_writes_it() -> None:
    (row,) = read(report(jobs=[JOB], datasets=["7\t21\tbam\tNone\tp\tinput"])).raw

    value = bson.decode(row) | {"external_id": bson.Int64(7)}
    value["datasets"][0]["external_id"] = bson.Int64(21)

    assert bson.encode(value) == row


def test_a_job_without_anything_else_is_stored() -> None:
    reading = read(report(jobs=["7\tcat1\tNone\tnew\tNone"]))

    (job,) = reading.jobs
    assert (job["tool_version"], job["created_at"], job["runtime_seconds"]) == (None, None, None)
    assert job["metrics"] == job["datasets"] == job["parameters"] == []
    assert reading.rejections == []


@pytest.mark.parametrize(
    ("kind", "row", "code"),
    [
        ("jobs", "8\tcat1\t1.0.0\tok", "MALFORMED_ROW"),
        ("jobs", "8\tcat1\t", "MALFORMED_ROW"),
        ("jobs", "", "MALFORMED_ROW"),
        ("jobs", "8\tcat1\t1.0.0\tok\t2019-01-01 00:00:00\tmore", "MALFORMED_ROW"),
        ("jobs", "x8\tcat1\t1.0.0\tok\t2019-01-01 00:00:00", "BAD_NUMBER"),
        ("jobs", "08\tcat1\t1.0.0\tok\t2019-01-01 00:00:00", "BAD_NUMBER"),
        ("jobs", "1234567890123456789\tcat1\t1.0.0\tok\t2019-01-01 00:00:00", "BAD_NUMBER"),
        ("jobs", "8\tNone\t1.0.0\tok\t2019-01-01 00:00:00", "MALFORMED_ROW"),
        ("jobs", "8\t\t1.0.0\tok\t2019-01-01 00:00:00", "MALFORMED_ROW"),
        ("jobs", f"8\t{'t' * 1001}\t1.0.0\tok\t2019-01-01 00:00:00", "TOO_LONG"),
        ("jobs", "8\tcat1\t1.0.0\tok\tyesterday", "BAD_TIMESTAMP"),
        ("jobs", "8\tcat1\t1.0.0\tok\t2019-02-29 00:00:00", "BAD_TIMESTAMP"),
        ("jobs", "8\tcat1\t1.0.0\tok\t2019-01-01T00:00:00", "BAD_TIMESTAMP"),
        ("jobs", "7\tcat2\t1.0.0\tok\t2019-01-01 00:00:00", "DUPLICATE_KEY"),
        ("metric_num", "7\tcore\truntime_seconds\tNaN", "BAD_NUMBER"),
        ("metric_num", "7\tcore\truntime_seconds\tinf", "BAD_NUMBER"),
        ("metric_num", "7\tcore\truntime_seconds\t1_000", "BAD_NUMBER"),
        ("metric_num", "7\tcore\truntime_seconds\tNone", "BAD_NUMBER"),
        ("metric_num", "99\tcore\truntime_seconds\t1.0", "ORPHAN_ROW"),
        ("metric_txt", "99\tenv\tHOSTNAME\tnode", "ORPHAN_ROW"),
        ("params", '99\tdbkey\t"null"', "ORPHAN_ROW"),
        ("params", "7\tdbkey\thg19", "MALFORMED_ROW"),
        ("datasets", "99\t1\tbam\t1\tp\tinput", "ORPHAN_ROW"),
        ("datasets", "7\t1\tbam\t-2\tp\tinput", "BAD_NUMBER"),
        ("datasets", "7\tNone\tbam\t1\tp\tinput", "BAD_NUMBER"),
        ("datasets", "7\t1\tbam\t1\tp\tsideways", "MALFORMED_ROW"),
    ],
)
def test_a_bad_row_is_rejected_with_its_line_and_the_others_are_taken(kind: str, row: str, code: str) -> None:
    good = {
        "metric_num": "7\tcore\tgalaxy_slots\t1.0",
        "metric_txt": "7\tenv\tA\tb",
        "params": '7\ta\t"1"',
        "datasets": "7\t1\tbam\t1\tp\tinput",
    }
    members = {"jobs": [JOB]} | ({} if kind == "jobs" else {kind: [good[kind]]})
    members[kind] = [*members[kind], row, *members[kind][1:]]

    reading = read(report(**members))

    assert reading.faults == [(kind, 3, code)]
    assert reading.summary.rejected == 1
    assert [job["external_id"] for job in reading.jobs] == [7]
    kept = reading.jobs[0]
    assert len(kept["metrics"] + kept["datasets"] + kept["parameters"]) == (kind != "jobs")


def test_zero_as_python_writes_it_with_seven_decimals_is_a_number() -> None:
    reading = read(report(jobs=[JOB], metric_num=["7\tcore\truntime_seconds\t0E-7", "7\tcore\tx\t-1.5e+3"]))

    assert [metric["text"] for metric in reading.jobs[0]["metrics"]] == ["0E-7", "-1.5e+3"]
    assert reading.jobs[0]["runtime_seconds"] == 0.0


def test_a_row_behind_a_half_row_is_taken_and_the_half_row_rejected() -> None:
    reading = read(report(jobs=["5\tcat1\t6\tcat1\t" + JOB, "8\t9\tcat1\t1.0\tok\t2019-01-01 00:00:00"]))

    assert [job["external_id"] for job in reading.jobs] == [7, 9]
    assert reading.faults == [("jobs", 2, "MALFORMED_ROW"), ("jobs", 3, "MALFORMED_ROW")]
    assert reading.rejections[0].message == "A truncated row of job 5 precedes the row of job 7."


def test_a_half_row_without_a_line_feed_at_the_end_is_rejected() -> None:
    content = archive(entry("r.jobs.tsv", f"id\ttool_id\ttool_version\tstate\tcreate_time\n{JOB}\n8\tcat1\t".encode()))

    reading = read(content)

    assert reading.faults == [("jobs", 3, "MALFORMED_ROW")]
    assert reading.rejections[0].excerpt == "8\tcat1\t"


def test_a_last_row_without_a_line_feed_is_taken() -> None:
    content = archive(entry("r.jobs.tsv", f"id\ttool_id\ttool_version\tstate\tcreate_time\n{JOB}".encode()))

    assert [job["external_id"] for job in read(content).jobs] == [7]


def test_what_is_no_utf8_is_rejected_line_by_line() -> None:
    header = b"job_id\tdataset_id\textension\tfile_size\tparam_name\ttype\n"
    rows = b"7\t1\tbam\t1\ts\xe9rie\tinput\n7\t2\tbam\t1\ts\xc3\xa9rie\tinput\n"
    content = archive(
        entry("r.jobs.tsv", f"id\ttool_id\ttool_version\tstate\tcreate_time\n{JOB}\n".encode()),
        entry("r.datasets.tsv", header + rows),
    )

    reading = read(content)

    assert reading.faults == [("datasets", 2, "ENCODING")]
    assert reading.rejections[0].excerpt == "7\t1\tbam\t1\ts\\xe9rie\tinput"
    assert [dataset["parameter_name"] for dataset in reading.jobs[0]["datasets"]] == ["série"]


def test_a_byte_order_mark_and_crlf_are_remarked_and_the_rows_taken() -> None:
    marked = read(archive(member("jobs", JOB, mark="\ufeff")))
    ended = read(archive(member("jobs", JOB, end="\r\n"), member("params", '7\ta\t"1"', end="\r\n")))

    assert marked.faults == [("jobs", 1, "ENCODING")]
    assert ended.faults == [("jobs", 1, "MALFORMED_ROW"), ("params", 1, "MALFORMED_ROW")]
    assert [reading.summary.rejected for reading in (marked, ended)] == [0, 0]
    assert marked.jobs == [ended.jobs[0] | {"parameters": [], "digest": marked.jobs[0]["digest"]}]


def test_a_member_with_other_columns_is_left_alone_and_its_rows_are_counted() -> None:
    content = archive(
        entry("r.jobs.tsv", f"id\ttool_id\ttool_version\tstate\tcreate_time\n{JOB}\n".encode()),
        entry("r.params.tsv", b"job\tkey\n7\ta\n7\tb\n"),
    )

    reading = read(content)

    assert reading.faults == [("params", 1, "MALFORMED_ROW")]
    assert reading.summary.rejected == 2
    assert reading.summary.jobs == 1


def test_a_line_longer_than_allowed_is_rejected_and_the_next_one_taken() -> None:
    content = report(jobs=[JOB], params=[f'7\ta\t"{"9" * 3_000_000}"', '7\tb\t"1"'])

    reading = read(content, limits=Limits(ratio=10_000))

    assert reading.faults == [("params", 2, "TOO_LONG")]
    assert reading.jobs[0]["parameters"] == [{"name": "b", "value": "1"}]


def test_more_rows_than_a_document_holds_are_rejected() -> None:
    content = report(
        jobs=[JOB],
        metric_num=[f"7\tcore\tm{n}\t1" for n in range(4)],
        datasets=[f"7\t{n}\tbam\t1\tp\tinput" for n in range(4)],
        params=[f'7\tp{n}\t"{n}"' for n in range(4)],
    )

    reading = read(content, limits=Limits(job_metrics=3, job_datasets=2, job_parameters=1))

    codes = [("metric_num", 5), ("params", 3), ("params", 4), ("params", 5), ("datasets", 4), ("datasets", 5)]
    assert reading.faults == [(member, line, "TOO_LONG") for member, line in codes]
    assert [reading.summary.metrics, reading.summary.datasets, reading.summary.parameters] == [3, 2, 1]


def test_rejections_show_no_values_of_parameters() -> None:
    reading = read(report(jobs=[JOB], params=["7\temail\tjane@example.org", '9\temail\t"\\"jane@example.org\\""']))

    assert [one.excerpt for one in reading.rejections] == ["7\temail\t…", "9\temail\t…"]
    assert not any("jane" in one.message for one in reading.rejections)


def test_counts_that_the_rows_do_not_bear_out_are_remarked() -> None:
    content = report(jobs=[JOB, "8\tcat1\t1\terror\tNone"])

    assert read(content, declared=DeclaredCounts({"ok": 1, "error": 1, "new": 0})).rejections == []
    assert read(content, declared=DeclaredCounts({"ok": 1}, partial=True)).rejections == []
    for declared in (
        DeclaredCounts({"ok": 1}),
        DeclaredCounts({"ok": 1, "error": 1, "new": 1}),
        DeclaredCounts({"ok": 2}, partial=True),
    ):
        reading = read(content, declared=declared)
        assert reading.faults == [("", 0, "COUNT_MISMATCH")]
        assert (reading.summary.rejected, reading.summary.jobs) == (0, 2)


def test_beyond_a_number_rejections_are_counted_by_member_and_code() -> None:
    reading = read(report(jobs=[JOB, *["bad"] * 9, *[JOB] * 5]), limits=Limits(listed_rejections=3))

    assert reading.faults == [("jobs", line, "MALFORMED_ROW") for line in (3, 4, 5)] + [
        ("jobs", 6, "MALFORMED_ROW"),
        ("jobs", 12, "DUPLICATE_KEY"),
    ]
    assert [one.rows for one in reading.rejections] == [1, 1, 1, 6, 5]
    assert reading.summary.rejected == 14


def test_the_digest_is_the_sum_of_the_rows_whatever_their_order_and_stamp() -> None:
    rows = [f"{n}\tcat1\t1.0\tok\tNone" for n in range(1, 50)]

    one = read(report(jobs=rows), prefix=RowPrefix("job_a_", {"generation_ref": "g"}))
    other = read(report(jobs=rows[::-1]))
    fewer = read(report(jobs=rows[1:]))

    total = RowsDigest()
    total.add(job["digest"] for job in one.jobs)
    assert one.summary.digest == other.summary.digest == str(total)
    total.remove([one.jobs[0]["digest"]])
    assert str(total) == fewer.summary.digest != one.summary.digest
    assert row_digest(b"a") != row_digest(b"b")
