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
from resolvers.galaxy.report.read_report import DeclaredCounts
from resolvers.user_errors import InvalidInput

MAX_METADATA_BYTES = 1_000_000
"""Bytes."""
VERSIONS = (1, 2, 3)
MOST_STATES = 100
LONGEST_STATE = 100
MOST_USERS = 2**31 - 1
MOST_JOBS = 2**63 - 1
IDENTIFIER = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}", re.ASCII)
DIGEST = re.compile(r"sha256:([0-9a-fA-F]{64})", re.ASCII)
SECONDS = re.compile(r"\d{1,12}(\.\d{1,20})?", re.ASCII)
SHOWN = 100


class Unusable(Exception):
    """Metadata that this release cannot use; the message says why."""


@dataclass(frozen=True)
class Metadata:
    """The metadata of a report. `sha256` is that of the archive, `supersedes` that of the archive it replaces.

    `older` is the form that was planned before there were exporters; it counts jobs of some states only.
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
    older: bool = False

    @property
    def declared(self) -> DeclaredCounts:
        """The number of jobs of each state in the archive, according to its metadata."""
        return DeclaredCounts({one.state: one.count for one in self.declared_jobs}, partial=self.older)


def read_metadata(text: str, identifier: str, *path: str) -> Metadata:
    """Parse the metadata. Raises InvalidInput unless it is a JSON object with comparable hashes."""
    try:
        read_object(text, noun="metadata", max_bytes=MAX_METADATA_BYTES)
        said = json.loads(text)
    except InvalidInput as refused:
        raise InvalidInput(refused.message, *path) from None
    except ValueError as error:
        raise InvalidInput(f"The metadata holds a number that is too long: {error}.", *path) from None
    known = _version(said) is not None
    read = Metadata(text, _hash(said, "report_hash", known, path), _hash(said, "supersedes", True, path))
    try:
        return _facts(said, identifier, read)
    except Unusable as reason:
        version = said.get("version")
        whole = isinstance(version, int) and not isinstance(version, bool) and abs(version) <= MOST_USERS
        return replace(read, schema_version=version if whole else None, quarantine=str(reason))


def check_identifier(value: str, *path: str) -> str:
    """A server's identifier for a report: mostly the time at which it was made. Raises InvalidInput."""
    if not IDENTIFIER.fullmatch(value):
        raise InvalidInput(
            f"{path[-1]} must have 1 to 100 letters, digits, dots, _ and -, as 1501836597.08 has, not {_shown(value)}.",
            *path,
        )
    return value


def _facts(said: dict[str, Any], identifier: str, read: Metadata) -> Metadata:
    version = _version(said)
    if version is None:
        raise Unusable(f"The version of its metadata is {_shown(said.get('version'))}; 1, 2 and 3 are known.")
    generated = said.get("generated")
    older = version == 1 and isinstance(generated, int | float) and not isinstance(generated, bool)
    if not older and generated != identifier:
        raise Unusable(f"generated is {_shown(generated)}, not the identifier {identifier}.")
    if not older and read.sha256 is None:
        raise Unusable("report_hash is missing.")
    users = said.get("users")
    if not isinstance(users, dict):
        raise Unusable(f"users must be an object, not {_shown(users)}.")
    return replace(
        read,
        schema_version=version,
        older=older,
        generated_at=_time(generated),
        declared_jobs=_jobs(said.get("jobs")),
        active_users=_count(users.get("active"), "users.active", MOST_USERS),
        total_users=_count(users.get("total"), "users.total", MOST_USERS),
    )


def _version(said: dict[str, Any]) -> int | None:
    version = said.get("version")
    return version if isinstance(version, int) and not isinstance(version, bool) and version in VERSIONS else None


def _hash(said: dict[str, Any], name: str, strict: bool, path: tuple[str, ...]) -> str | None:
    """The SHA-256 in the metadata. Its meaning in an unknown version is unknown too."""
    value = said.get(name)
    found = DIGEST.fullmatch(value) if isinstance(value, str) else None
    if found:
        return found[1].lower()
    if strict and value is not None:
        raise InvalidInput(f"{name} must be sha256: and 64 hexadecimal digits, not {_shown(value)}.", *path)
    return None


def _time(generated: Any) -> datetime:
    try:
        seconds = float(generated) if not isinstance(generated, str) or SECONDS.fullmatch(generated) else math.nan
        return utc_milliseconds(datetime.fromtimestamp(seconds, UTC))
    except (ValueError, OverflowError, OSError):
        raise Unusable(f"generated is {_shown(generated)}, which is no time in seconds since 1970.") from None


def _jobs(said: Any) -> list[StateCount]:
    if not isinstance(said, dict) or len(said) > MOST_STATES:
        raise Unusable(f"jobs must be an object of at most {MOST_STATES} states, not {_shown(said)}.")
    for state in said:
        if not 1 <= len(state) <= LONGEST_STATE or not state.isprintable():
            raise Unusable(f"jobs has the state {_shown(state)}; states have 1 to {LONGEST_STATE} characters.")
    return [StateCount(state=state, count=_count(count, f"jobs.{state}", MOST_JOBS)) for state, count in said.items()]


def _count(value: Any, name: str, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise Unusable(f"{name} must be a whole number from 0 to {most}, not {_shown(value)}.")
    return value


def _shown(value: Any) -> str:
    """A value as a message shows it: on one line, in characters that every client and the database accept."""
    text = json.dumps(value, default=str)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
