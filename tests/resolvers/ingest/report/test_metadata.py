"""The metadata of reports: what is understood, and why the rest is put aside."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from resolvers.ingest.report.metadata import Quarantined, read_metadata
from resolvers.ingest.report.reader import Declared

SOUND: dict[str, Any] = {
    "version": 3,
    "galaxy_version": "21.01",
    "generated": "1501836597.08",
    "report_hash": "sha256:" + "Ab" * 32,
    "metrics": {"_times": []},
    "users": {"active": 76, "total": 75},
    "jobs": {"ok": 13, "deleted_new": 0},
}
PLANNED: dict[str, Any] = {
    "version": 1,
    "generated": 1500541683,
    "metrics": {"query_time": 0.0, "tarball_time": 0.0},
    "users": {"active": 30, "total": 1000},
    "jobs": {"ok": 10000000},
    "tools": [{"id": "toolshed.g2....", "version": "1.0.0", "tool_shed_repository": {"name": "tool_repo"}}],
}


@pytest.mark.parametrize("version", [1, 2, 3])
def test_the_metadata_of_exporters_are_understood(version: int) -> None:
    metadata = read_metadata(orjson.dumps(SOUND | {"version": version}), "1501836597.08")

    assert metadata.version == version
    assert metadata.generated_at == datetime(2017, 8, 4, 8, 49, 57, 80000, tzinfo=UTC)
    assert metadata.sha256 == "ab" * 32
    assert (metadata.active_users, metadata.total_users) == (76, 75)
    assert metadata.declared == Declared({"ok": 13, "deleted_new": 0})


def test_the_planned_form_is_understood() -> None:
    metadata = read_metadata(orjson.dumps(PLANNED), "0")

    assert metadata.generated_at == datetime(2017, 7, 20, 9, 8, 3, tzinfo=UTC)
    assert metadata.sha256 is None
    assert metadata.declared == Declared({"ok": 10000000}, partial=True)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"version": 99}, "The version of the report is 99; 1, 2 and 3 are known."),
        ({"version": "3"}, 'The version of the report is "3"'),
        ({"version": True}, "The version of the report is true"),
        ({"report_hash": "md5:" + "0" * 32}, "report_hash is not sha256"),
        ({"report_hash": None}, "report_hash is not sha256"),
        ({"generated": "1.0"}, "The report says that it was generated at 1.0, and came as 1501836597.08."),
        ({"generated": None}, "generated is null"),
        ({"users": None}, "The metadata have no object users."),
        ({"users": {"active": -1, "total": -2}}, "users.active is -1, not a count."),
        ({"users": {"active": 1}}, "users.total is null, not a count."),
        ({"users": {"active": 1, "total": 2**31}}, "users.total is 2147483648, not a count."),
        ({"jobs": {"ok": 1.5}}, "jobs.ok is 1.5, not a count."),
        ({"jobs": []}, "The metadata have no object jobs."),
    ],
)
def test_other_metadata_are_put_aside_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Quarantined) as quarantined:
        read_metadata(orjson.dumps(SOUND | changes), "1501836597.08")

    assert reason in str(quarantined.value)


def test_times_that_no_calendar_has_are_put_aside() -> None:
    with pytest.raises(Quarantined, match="generated is 999999999999999, which no calendar has"):
        read_metadata(orjson.dumps(SOUND | {"generated": "9" * 15}))


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_json_object_is_put_aside(text: bytes) -> None:
    with pytest.raises(Quarantined):
        read_metadata(text)
