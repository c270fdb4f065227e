"""The usage in a report, as cells: how many jobs of a tool, its version and a state began on a day.

Their runtimes are kept as a sketch (DDSketch, https://www.vldb.org/pvldb/vol12/p2195-masson.pdf): each runtime is
counted in a bin that is 2 % wide, so that quantiles of any sum of cells are right to 1 %.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from ddsketch.mapping import LogarithmicMapping

RELATIVE_ERROR = 0.01
MIN_SECONDS, MAX_SECONDS = 1e-9, 1e12
"""Bounds of distinguishable runtimes. Smaller values count as zero, larger ones as the largest."""
MAPPING = LogarithmicMapping(RELATIVE_ERROR, offset=2000)
"""The offset lets all these runtimes have bins above zero, so that bin 0 is for zero and bin -n for the negative of bin
n."""


@dataclass(slots=True)
class Cell:
    """Jobs of one tool, version, state and UTC day (as 2019-01-31, None without a time).

    `runtimes` counts the jobs with a known runtime, by bin; `shortest` and `longest` are the extremes of these, in
    seconds. In a cell that subtracts jobs all counts are negative, and there are no extremes.
    """

    tool_id: str
    tool_version: str | None
    state: str
    day: str | None
    jobs: int = 0
    runtimes: dict[int, int] = field(default_factory=dict)
    shortest: float | None = None
    longest: float | None = None


def bin_of(seconds: float) -> int:
    """The number of the bin that counts this runtime; longer runtimes have higher numbers."""
    size = abs(seconds)
    if size < MIN_SECONDS:
        return 0
    key: int = MAPPING.key(min(size, MAX_SECONDS))
    return key if seconds > 0 else -key


def cell_of(row: Mapping[str, Any], sign: int = 1) -> Cell:
    """The cell of one job as it is stored; with -1 for `sign`, one that subtracts it."""
    at: datetime | None = row["created_at"]
    if at is not None and at.tzinfo is not None:
        at = at.astimezone(UTC)
    day = None if at is None else at.date().isoformat()
    cell = Cell(row["tool_id"], row["tool_version"], row["state"], day, jobs=sign)
    seconds = row["runtime_seconds"]
    if seconds is not None and math.isfinite(seconds):
        cell.runtimes[bin_of(seconds)] = sign
        if sign > 0:
            cell.shortest = cell.longest = seconds
    return cell


def encode_cells(cells: Iterable[Cell]) -> bytes:
    """Encode cells as JSON."""
    return orjson.dumps(list(cells), option=orjson.OPT_NON_STR_KEYS)


def decode_cells(text: bytes) -> list[Cell]:
    """Decode cells that `encode_cells` wrote. Raises ValueError for anything else."""
    try:
        return [_decode_cell(**value) for value in orjson.loads(text)]
    except (TypeError, AttributeError) as error:
        raise ValueError("The text is not a list of cells.") from error


def _decode_cell(runtimes: dict[str, int], **values: Any) -> Cell:
    return Cell(**values, runtimes={int(bin): count for bin, count in runtimes.items()})
