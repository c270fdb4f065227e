"""Windows of usage are taken apart: whole days are answered by counts, and parts of days by their jobs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from resolvers.galaxy.statistics.time_window import TIME, Days, SplitFilter, midnight, split_filter

REST = {"tool_id": "cat1"}
NOON = datetime(2021, 7, 5, 12)
FIFTH = (datetime(2021, 7, 5) - datetime(1970, 1, 1)).days
INSTANT = timedelta(milliseconds=1)


def jobs(**bounds: datetime) -> dict[str, Any]:
    """Jobs of the tool between two times, one of which may be missing."""
    return {"$and": [REST, {TIME: {f"${name}": at for name, at in bounds.items()}}]}


def window(**bounds: datetime) -> SplitFilter:
    """The split form of a filter for the tool's jobs between two times, as a client writes them."""
    asked = [{TIME: {f"${name}": at.replace(tzinfo=UTC)}} for name, at in bounds.items()]
    return split_filter({"$and": [REST, *asked]})


@pytest.mark.parametrize(
    ("bounds", "days", "aside"),
    [
        ({}, Days(), ()),
        ({"gte": midnight(FIFTH)}, Days(FIFTH, None), ()),
        ({"lt": midnight(FIFTH)}, Days(None, FIFTH), ()),
        ({"gte": midnight(FIFTH), "lt": midnight(FIFTH + 1)}, Days(FIFTH, FIFTH + 1), ()),
        ({"gte": NOON}, Days(FIFTH + 1, None), (jobs(gte=NOON, lt=midnight(FIFTH + 1)),)),
        ({"lt": NOON}, Days(None, FIFTH), (jobs(gte=midnight(FIFTH), lt=NOON),)),
        ({"gt": midnight(FIFTH)}, Days(FIFTH + 1), (jobs(gte=midnight(FIFTH) + INSTANT, lt=midnight(FIFTH + 1)),)),
        ({"lte": midnight(FIFTH)}, Days(None, FIFTH), (jobs(gte=midnight(FIFTH), lt=midnight(FIFTH) + INSTANT),)),
        (
            {"gte": NOON, "lt": NOON + timedelta(days=2)},
            Days(FIFTH + 1, FIFTH + 2),
            (jobs(gte=NOON, lt=midnight(FIFTH + 1)), jobs(gte=midnight(FIFTH + 2), lt=NOON + timedelta(days=2))),
        ),
        ({"gte": NOON, "lt": NOON + INSTANT}, None, (jobs(gte=NOON, lt=NOON + INSTANT),)),
        ({"gte": NOON, "lt": midnight(FIFTH + 1)}, None, (jobs(gte=NOON, lt=midnight(FIFTH + 1)),)),
        ({"gte": NOON, "lt": NOON}, None, ()),
        (
            {"gte": NOON, "gt": NOON - INSTANT, "lt": midnight(FIFTH + 1)},
            None,
            (jobs(gte=NOON, lt=midnight(FIFTH + 1)),),
        ),
    ],
)
def test_a_window_is_whole_days_and_the_parts_of_days_at_its_ends(
    bounds: dict[str, datetime], days: Days | None, aside: tuple[Any, ...]
) -> None:
    assert window(**bounds) == SplitFilter(REST, days, aside)


def test_times_below_or_are_looked_for_among_all_jobs() -> None:
    filter = {"$or": [{TIME: {"$gte": NOON}}, REST]}

    assert split_filter(filter) == SplitFilter({}, None, (filter,))


def test_a_window_at_the_end_of_the_calendar_is_looked_for_among_all_jobs() -> None:
    last = datetime.max.replace(microsecond=999_000)
    filter = {TIME: {"$gte": last.replace(tzinfo=UTC)}}

    assert split_filter(filter) == SplitFilter({}, None, (filter,))


@pytest.mark.parametrize(
    ("first", "last", "bounded", "whole"),
    [
        (None, None, False, True),
        (datetime(2021, 7, 1), None, True, True),
        (None, datetime(2021, 7, 2), True, False),
        (datetime(2021, 7, 1), datetime(2021, 8, 1), True, True),
        (datetime(2021, 6, 30), datetime(2021, 8, 1), True, False),
    ],
)
def test_days_are_whole_months_when_both_bounds_are_firsts(
    first: datetime | None, last: datetime | None, bounded: bool, whole: bool
) -> None:
    days = Days(*(None if at is None else (at - datetime(1970, 1, 1)).days for at in (first, last)))

    assert (days.is_bounded, days.is_whole_months) == (bounded, whole)
