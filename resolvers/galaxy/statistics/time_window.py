"""Splitting a filter of jobs: one part that counts by day can answer, and one for which jobs have to be read."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from documents.base import utc_milliseconds
from resolvers.filters import Filter, all_of

TIME = "created_at"
EPOCH = datetime(1970, 1, 1)
DAY = timedelta(days=1)
RESOLUTION = timedelta(milliseconds=1)
"""The smallest difference between stored times."""


@dataclass(frozen=True)
class Days:
    """Days by their number after 1970-01-01, from `first` up to, but without `last`; None where there is no bound.

    Without any bound, jobs without a time are included as well.
    """

    first: int | None = None
    last: int | None = None

    @property
    def is_bounded(self) -> bool:
        """Whether there is any bound."""
        return self.first is not None or self.last is not None

    @property
    def is_whole_months(self) -> bool:
        """Whether both bounds are the first day of a month."""
        return all(bound is None or midnight(bound).day == 1 for bound in (self.first, self.last))


@dataclass(frozen=True)
class SplitFilter:
    """A filter of jobs in parts: those of `days` (None for no days) that match `rest`, which counts by day can answer,
    and those that match one of `residual_filters`, which have to be read."""

    rest: Filter
    days: Days | None
    residual_filters: tuple[Filter, ...] = ()


def midnight(day: int) -> datetime:
    """The beginning of a day, in UTC and without a zone, as the database returns times. Raises OverflowError."""
    return EPOCH + day * DAY


def split_filter(filter: Filter) -> SplitFilter:
    """Split a filter of jobs. Where times occur below $or or $nor, all jobs have to be read."""
    conditions = list(_conjuncts(filter))
    times = [condition for condition in conditions if set(condition) == {TIME}]
    untimed = [condition for condition in conditions if condition not in times]
    rest = all_of(untimed)
    if TIME in paths_in(untimed):
        return SplitFilter({}, None, (filter,))
    if not times:
        return SplitFilter(rest, Days())
    try:
        return _split_window(rest, *_bounds(times))
    except OverflowError:
        # At the end of the calendar there is no next day.
        return SplitFilter(rest, None, (filter,))


def paths_in(condition: Any) -> set[str]:
    """The paths in a filter."""
    if isinstance(condition, list):
        return {path for part in condition for path in paths_in(part)}
    if not isinstance(condition, dict):
        return set()
    own = {key for key in condition if not key.startswith("$")}
    return own | {path for key in condition if key.startswith("$") for path in paths_in(condition[key])}


def _conjuncts(filter: Filter) -> Iterator[Filter]:
    for key, value in filter.items():
        if key == "$and":
            for condition in value:
                yield from _conjuncts(condition)
        else:
            yield {key: value}


def _bounds(times: list[Filter]) -> tuple[datetime | None, datetime | None]:
    """The lower and the upper bound of the time."""
    low: datetime | None = None
    high: datetime | None = None
    for condition in times:
        for comparison, value in condition[TIME].items():
            at = utc_milliseconds(value).astimezone(UTC).replace(tzinfo=None)
            at += RESOLUTION if comparison in ("$gt", "$lte") else timedelta()
            if comparison in ("$gt", "$gte"):
                low = at if low is None else max(low, at)
            else:
                high = at if high is None else min(high, at)
    return low, high


def _split_window(rest: Filter, low: datetime | None, high: datetime | None) -> SplitFilter:
    first = None if low is None else -((EPOCH - low) // DAY)
    last = None if high is None else (high - EPOCH) // DAY
    if first is not None and last is not None and first >= last:
        return SplitFilter(rest, None, _partial_day_filters(rest, low, high))
    before = _partial_day_filters(rest, low, None if first is None else midnight(first))
    after = _partial_day_filters(rest, None if last is None else midnight(last), high)
    return SplitFilter(rest, Days(first, last), (*(before if low else ()), *(after if high else ())))


def _partial_day_filters(rest: Filter, low: datetime | None, high: datetime | None) -> tuple[Filter, ...]:
    """A filter for the jobs of a part of a day; no filter when the part is empty."""
    if low is not None and high is not None and low >= high:
        return ()
    bounds = ({} if low is None else {"$gte": low}) | ({} if high is None else {"$lt": high})
    return (all_of([rest, {TIME: bounds}]),)
