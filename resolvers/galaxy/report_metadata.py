"""The metadata of a report, which servers of every version write beside an archive.

Versions 1, 2 and 3 are written by Galaxy's exporter; an older form of version 1 has a number for `generated`, tools as
objects and no hash. Any other metadata is kept, with the reason why this release cannot use it.
"""

import json
import math
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from documents.base import utc_milliseconds
from documents.galaxy.archive import StateCount
from resolvers.formats.json_text import read_object
from resolvers.galaxy.report.declared_counts import DeclaredCounts
from resolvers.limits import MAX_REPORT_METADATA_BYTES
from resolvers.user_errors import InvalidInput

SUPPORTED_VERSIONS = (1, 2, 3)
MAX_STATES = 100
MAX_STATE_LENGTH = 100
MAX_USERS = 2**31 - 1
MAX_JOBS = 2**63 - 1
IDENTIFIER = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}", re.ASCII)
DIGEST = re.compile(r"sha256:([0-9a-fA-F]{64})", re.ASCII)
SECONDS = re.compile(r"\d{1,12}(\.\d{1,20})?", re.ASCII)
MAX_SHOWN_LENGTH = 100


class UnusableMetadata(Exception):
    """Metadata that this release cannot use; the message says why."""


@dataclass(frozen=True)
class Metadata:
    """The metadata of a report. `sha256` is that of the archive, `supersedes` that of the archive it replaces.

    `is_legacy` says that it has the form that was planned before there were exporters, with counts of some states only.
    """

    text: str
    sha256: str | None = None
    supersedes: str | None = None
    schema_version: int | None = None
    generated_at: datetime | None = None
    declared_jobs: list[StateCount] = field(default_factory=list)
    active_users: int | None = None
    total_users: int | None = None
    quarantine: str | None = None
    is_legacy: bool = False

    @property
    def declared_counts(self) -> DeclaredCounts:
        """The number of jobs of each state in the archive, according to its metadata."""
        return DeclaredCounts({state.state: state.count for state in self.declared_jobs}, partial=self.is_legacy)


def read_metadata(text: str, identifier: str, *path: str) -> Metadata:
    """Parse the metadata. Raises InvalidInput unless it is a JSON object with comparable hashes."""
    try:
        read_object(text, noun="metadata", max_bytes=MAX_REPORT_METADATA_BYTES)
        document = json.loads(text)
    except InvalidInput as refusal:
        raise InvalidInput(refusal.message, *path) from None
    except ValueError as error:
        raise InvalidInput(f"The metadata holds a number that is too long: {error}.", *path) from None
    is_supported = _supported_version(document) is not None
    report_hash = _parse_hash(document, "report_hash", is_supported, path)
    hashes = Metadata(text, report_hash, _parse_hash(document, "supersedes", True, path))
    try:
        return _parse(document, identifier, hashes)
    except UnusableMetadata as reason:
        version = document.get("version")
        is_storable = isinstance(version, int) and not isinstance(version, bool) and abs(version) <= MAX_USERS
        return replace(hashes, schema_version=version if is_storable else None, quarantine=str(reason))


def check_identifier(value: str, *path: str) -> str:
    """Return a server's identifier for a report, mostly the time at which it was made. Raises InvalidInput."""
    if not IDENTIFIER.fullmatch(value):
        allowed = "1 to 100 letters, digits, dots, _ and -, as 1501836597.08 has"
        raise InvalidInput(f"{path[-1]} must have {allowed}, not {_excerpt(value)}.", *path)
    return value


def _parse(document: dict[str, Any], identifier: str, hashes: Metadata) -> Metadata:
    """Add everything else to the hashes. Raises UnusableMetadata."""
    version = _supported_version(document)
    if version is None:
        raise UnusableMetadata(
            f"The version of its metadata is {_excerpt(document.get('version'))}; 1, 2 and 3 are known."
        )
    generated = document.get("generated")
    is_legacy = version == 1 and isinstance(generated, int | float) and not isinstance(generated, bool)
    if not is_legacy and generated != identifier:
        raise UnusableMetadata(f"generated is {_excerpt(generated)}, not the identifier {identifier}.")
    if not is_legacy and hashes.sha256 is None:
        raise UnusableMetadata("report_hash is missing.")
    users = document.get("users")
    if not isinstance(users, dict):
        raise UnusableMetadata(f"users must be an object, not {_excerpt(users)}.")
    return replace(
        hashes,
        schema_version=version,
        is_legacy=is_legacy,
        generated_at=_parse_time(generated),
        declared_jobs=_parse_jobs(document.get("jobs")),
        active_users=_check_count(users.get("active"), "users.active", MAX_USERS),
        total_users=_check_count(users.get("total"), "users.total", MAX_USERS),
    )


def _supported_version(document: dict[str, Any]) -> int | None:
    version = document.get("version")
    is_integer = isinstance(version, int) and not isinstance(version, bool)
    return version if is_integer and version in SUPPORTED_VERSIONS else None


def _parse_hash(document: dict[str, Any], name: str, strict: bool, path: tuple[str, ...]) -> str | None:
    """The SHA-256 in the metadata. Its meaning in an unknown version is unknown too."""
    value = document.get(name)
    match = DIGEST.fullmatch(value) if isinstance(value, str) else None
    if match:
        return match[1].lower()
    if strict and value is not None:
        raise InvalidInput(f"{name} must be sha256: and 64 hexadecimal digits, not {_excerpt(value)}.", *path)
    return None


def _parse_time(generated: Any) -> datetime:
    try:
        seconds = float(generated) if not isinstance(generated, str) or SECONDS.fullmatch(generated) else math.nan
        return utc_milliseconds(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError, OSError):
        raise UnusableMetadata(
            f"generated is {_excerpt(generated)}, which is not a time in seconds since 1970."
        ) from None


def _parse_jobs(jobs: Any) -> list[StateCount]:
    if not isinstance(jobs, dict) or len(jobs) > MAX_STATES:
        raise UnusableMetadata(f"jobs must be an object of at most {MAX_STATES} states, not {_excerpt(jobs)}.")
    for state in jobs:
        if not 1 <= len(state) <= MAX_STATE_LENGTH or not state.isprintable():
            raise UnusableMetadata(
                f"jobs has the state {_excerpt(state)}; states have 1 to {MAX_STATE_LENGTH} characters."
            )
    return [
        StateCount(state=state, count=_check_count(count, f"jobs.{state}", MAX_JOBS)) for state, count in jobs.items()
    ]


def _check_count(value: Any, name: str, limit: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
        raise UnusableMetadata(f"{name} must be a whole number from 0 to {limit}, not {_excerpt(value)}.")
    return value


def _excerpt(value: Any) -> str:
    """A value as a message shows it: on one line, in characters that every client and the database accept."""
    text = json.dumps(value, default=str)
    return text if len(text) <= MAX_SHOWN_LENGTH else f"{text[:MAX_SHOWN_LENGTH]}…"
