"""The metadata of reports: what is understood, and why the rest is put aside."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from resolvers.galaxy.report.declared_counts import DeclaredCounts
from resolvers.galaxy.report_metadata import Metadata, read_metadata
from resolvers.user_errors import InvalidInput

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


def read(said: dict[str, Any], identifier: str = "1501836597.08") -> Metadata:
    return read_metadata(orjson.dumps(said).decode(), identifier)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_the_metadata_of_exporters_are_understood(version: int) -> None:
    metadata = read(SOUND | {"version": version})

    assert (metadata.schema_version, metadata.quarantine) == (version, None)
    assert metadata.generated_at == datetime(2017, 8, 4, 8, 49, 57, 80000, tzinfo=UTC)
    assert metadata.sha256 == "ab" * 32
    assert (metadata.active_users, metadata.total_users) == (76, 75)
    assert metadata.declared_counts == DeclaredCounts({"ok": 13, "deleted_new": 0})


def test_the_planned_form_is_understood_which_counts_some_states_only() -> None:
    metadata = read(PLANNED, "0")

    assert metadata.generated_at == datetime(2017, 7, 20, 9, 8, 3, tzinfo=UTC)
    assert (metadata.sha256, metadata.quarantine) == (None, None)
    assert metadata.declared_counts == DeclaredCounts({"ok": 10000000}, partial=True)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"generated": None}, "generated is null, not the identifier 1501836597.08."),
        ({"users": {"active": 1}}, "users.total must be a whole number from 0 to 2147483647, not null."),
        ({"users": {"active": 1, "total": 2**31}}, "users.total must be a whole number from 0 to 2147483647"),
        ({"jobs": {"ok": 1.5}}, "jobs.ok must be a whole number from 0 to 9223372036854775807, not 1.5."),
        ({"jobs": {"ok": True}}, "jobs.ok must be a whole number from 0 to 9223372036854775807, not true."),
    ],
)
def test_other_metadata_are_put_aside_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    metadata = read(SOUND | changes)

    assert reason in (metadata.quarantine or "")
    assert metadata.declared_counts == DeclaredCounts({})


def test_times_that_no_calendar_has_are_put_aside() -> None:
    metadata = read(SOUND | {"generated": "999999999999"}, "999999999999")

    assert metadata.quarantine == 'generated is "999999999999", which is not a time in seconds since 1970.'


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, '{"a": NaN}'])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        read_metadata(text, "1.0", "metadata")
