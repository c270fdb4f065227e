"""The document that comes with a job report: three versions of exporters, and the form they were planned in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from resolvers.ingest.report.reader import Declared

VERSIONS = (1, 2, 3)
IDENTIFIER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,15})?")
HASH = re.compile(r"sha256:([0-9a-fA-F]{64})")
MOST = 2**31 - 1
"""What GraphQL's Int can show of users; counts of jobs may be larger."""
MOST_JOBS = 2**53


class Quarantined(Exception):
    """The report is kept but cannot be read by this release; the message says why."""


@dataclass(frozen=True)
class ReportMetadata:
    """What a report says of itself. `sha256` is absent in the planned form."""

    version: int
    generated_at: datetime
    sha256: str | None
    active_users: int
    total_users: int
    declared: Declared


def read_metadata(text: bytes, identifier: str | None = None) -> ReportMetadata:
    """The metadata of a report, for the identifier it was uploaded under. Raises Quarantined.

    In the planned form `generated` is a number of seconds, there is no hash, and of the jobs only some states may be
    counted. Users who were active may be one more than there are, because nobody counts as one.
    """
    try:
        value = orjson.loads(text)
    except ValueError as error:
        raise Quarantined(f"The metadata are not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise Quarantined("The metadata are not an object.")
    version = value.get("version")
    if version not in VERSIONS or isinstance(version, bool | float):
        raise Quarantined(f"The version of the report is {_shown(version)}; 1, 2 and 3 are known.")
    planned = version == 1 and isinstance(value.get("generated"), int)
    users = _object(value, "users")
    return ReportMetadata(
        version=version,
        generated_at=_generated(value.get("generated"), identifier, planned),
        sha256=_sha256(value.get("report_hash"), planned),
        active_users=_count(users, "active", "users.active", MOST),
        total_users=_count(users, "total", "users.total", MOST),
        declared=Declared(_states(_object(value, "jobs")), partial=planned),
    )


def _shown(value: object) -> str:
    return orjson.dumps(value).decode()[:100]


def _object(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    if not isinstance(found, dict):
        raise Quarantined(f"The metadata have no object {key}.")
    return found


def _count(value: Mapping[str, Any], key: str, name: str, most: int) -> int:
    count = value.get(key)
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= most:
        raise Quarantined(f"{name} is {_shown(count)}, not a count.")
    return count


def _states(jobs: Mapping[str, Any]) -> dict[str, int]:
    return {state: _count(jobs, state, f"jobs.{state}"[:100], MOST_JOBS) for state in jobs}


def _generated(generated: object, identifier: str | None, planned: bool) -> datetime:
    text = str(generated) if planned or isinstance(generated, float) else generated
    if not isinstance(text, str) or not IDENTIFIER.fullmatch(text):
        raise Quarantined(f"generated is {_shown(generated)}, not a time in seconds since 1970.")
    # Planned archives are numbered from 0, so their time is not their name.
    if identifier is not None and not planned and text != identifier:
        raise Quarantined(f"The report says that it was generated at {text}, and came as {identifier[:100]}.")
    try:
        return datetime.fromtimestamp(float(text), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise Quarantined(f"generated is {text}, which no calendar has.") from error


def _sha256(stated: object, planned: bool) -> str | None:
    if stated is None and planned:
        return None
    found = HASH.fullmatch(stated) if isinstance(stated, str) else None
    if found is None:
        raise Quarantined("report_hash is not sha256: with 64 hexadecimal digits.")
    return found[1].lower()
