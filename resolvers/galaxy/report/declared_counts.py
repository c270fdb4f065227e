"""The counts of jobs that the metadata of a report declares."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class DeclaredCounts:
    """The number of jobs of each state in the report's metadata. `partial` when there may be other states as well."""

    states: Mapping[str, int]
    partial: bool = False
