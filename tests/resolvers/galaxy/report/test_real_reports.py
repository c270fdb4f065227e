"""Real reports, and reports broken on purpose, that are kept beside the repository."""

import hashlib
import tarfile
from collections import Counter
from pathlib import Path

import orjson
import pytest

from resolvers.galaxy.report_metadata import read_metadata
from resolvers.user_errors import InvalidInput
from tests.support.needs import need_shared_data
from tests.support.reports import Reading, read


def reading_of(report: Path) -> Reading:
    """The rows of a report `<id>.tar.gz`, compared with the counts beside it."""
    metadata = read_metadata(report.with_name(f"{identifier(report)}.json").read_text(), identifier(report))
    assert metadata.quarantine is None
    assert metadata.sha256 == hashlib.sha256(report.read_bytes()).hexdigest()
    return read(report.read_bytes(), declared=metadata.declared_counts)


def identifier(report: Path) -> str:
    return report.name.removesuffix(".tar.gz")


def test_the_real_report_comes_to_the_figures_known_of_it() -> None:
    (report,) = (need_shared_data() / "grt" / "real_v1").glob("*.tar.gz")

    reading = reading_of(report)

    assert reading.rejections == []
    summary = reading.summary
    assert (summary.jobs, summary.states) == (98, {"ok": 76, "error": 22})
    assert (summary.metrics, summary.parameters, summary.datasets) == (388, 541, 0)
    runtimes = [job["runtime_seconds"] for job in reading.jobs]
    assert sum(runtime is not None for runtime in runtimes) == 97
    kinds = Counter(type(orjson.loads(one["value"])) for job in reading.jobs for one in job["parameters"])
    assert kinds == {type(None): 432, str: 89, dict: 14, list: 4, bool: 2}


@pytest.mark.parametrize(("kept", "least"), [("exporter_v3", 4), ("synthetic/good", 6)])
def test_each_row_of_sound_reports_is_stored_or_rejected(kept: str, least: int) -> None:
    reports = sorted((need_shared_data() / "grt" / kept).rglob("*.tar.gz"))
    assert len(reports) >= least

    for report in reports:
        reading = reading_of(report)

        lines: Counter[str] = Counter()
        with tarfile.open(report) as archive:
            for info in archive:
                member = archive.extractfile(info)
                assert member is not None
                lines[info.name.split(".")[-2]] += len(member.read().splitlines()) - 1
        summary = reading.summary
        assert summary.jobs > 0
        # Each rejection here is a half row before a whole one, and the counts of the exporter do without the half ones.
        assert {one.code for one in reading.rejections} <= {"MALFORMED_ROW"}
        assert all("A truncated row of job" in one.message for one in reading.rejections)
        assert summary.jobs == lines["jobs"]
        assert summary.metrics == lines["metric_num"] + lines["metric_txt"]
        assert (summary.parameters, summary.datasets) == (lines["params"], lines["datasets"])


REASONS = {
    "BOM at the head of each file": {"ENCODING"},
    "CRLF line ends": {"MALFORMED_ROW"},
    "member with ..": {"UNSAFE_MEMBER", "MISSING_MEMBER"},
    "member with an absolute name": {"UNSAFE_MEMBER", "MISSING_MEMBER"},
    "symlink member": {"UNSAFE_MEMBER"},
    "hard link member": {"UNSAFE_MEMBER"},
    "compression bomb, 30 MB of zeros, and a second jobs member": {"UNSAFE_MEMBER", "CORRUPT_ARCHIVE"},
    "no jobs member": {"MISSING_MEMBER"},
    "not a gzip": {"CORRUPT_ARCHIVE"},
    "truncated gzip": {"CORRUPT_ARCHIVE"},
    "same job id twice": {"DUPLICATE_KEY"},
    "counts do not match the rows": {"COUNT_MISMATCH"},
    "metric of an unknown job, NaN, a 19-digit value, a bad id": {"BAD_NUMBER", "ORPHAN_ROW"},
}
QUARANTINES = {
    "unknown version 99": "99",
    "generated differs from the identifier": "generated",
    "users missing": "users",
    "negative counts": "-1",
}


def test_each_broken_report_is_refused_or_rejected_for_the_very_reason() -> None:
    folder = need_shared_data() / "grt" / "synthetic" / "bad"
    why = orjson.loads((folder / "WHY.json").read_bytes())

    reports = sorted(folder.glob("*.tar.gz"))
    assert len(reports) >= 9

    for report in reports:
        reason = why[identifier(report)]
        content, text = report.read_bytes(), report.with_name(f"{identifier(report)}.json").read_text()
        if reason == "hash algorithm md5":
            with pytest.raises(InvalidInput, match="report_hash must be sha256"):
                read_metadata(text, identifier(report))
            continue
        metadata = read_metadata(text, identifier(report))
        assert QUARANTINES.get(reason, "") in (metadata.quarantine or "")
        if metadata.quarantine is not None:
            assert reason in QUARANTINES
            continue
        if reason == "hash mismatch":
            assert metadata.sha256 != hashlib.sha256(content).hexdigest()
            continue
        reading = read(content, declared=metadata.declared_counts)
        assert {one.code.value for one in reading.rejections} == REASONS[reason], reason
        refused = {"MISSING_MEMBER", "CORRUPT_ARCHIVE"} & REASONS[reason]
        assert (reading.summary.refused, reading.summary.jobs) == ((True, 0) if refused else (False, 20)), reason
