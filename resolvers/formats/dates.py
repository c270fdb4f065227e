"""Dates as publishers write them."""

import re
from datetime import UTC, datetime

from documents.base import utc_milliseconds

ISO = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ](?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,12})?)?))?"
    r" ?(?P<zone>[Zz]|[+-][0-9]{2}:?[0-9]{2})?"
)
ENGLISH = re.compile(r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)? (?P<month>[A-Za-z]{3,9}),? (?P<year>[0-9]{4})")
MONTHS = [
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
]  # fmt: skip


def instant(text: str) -> datetime | None:
    """The time that a text names, in UTC to the millisecond; None if it names none, or an ambiguous one.

    Accepted are RFC 3339 and its XML Schema variants (a date alone is its midnight, a time without a zone is UTC) and
    `12 September 2019`. `2/4/2021` is not: it is April to some and February to others.
    """
    words = " ".join(text.split())
    try:
        if iso := ISO.fullmatch(words):
            return _from_iso(iso)
        if english := ENGLISH.fullmatch(words):
            return datetime(int(english["year"]), _month(english["month"]), int(english["day"]), tzinfo=UTC)
    except (ValueError, OverflowError):
        # The format is right but the time does not exist: 2021-02-30, or an offset that leads out of the calendar.
        return None
    return None


def _from_iso(match: re.Match[str]) -> datetime:
    time = (match["time"] or "00:00").replace(",", ".")
    zone = (match["zone"] or "+00:00").upper().replace("Z", "+00:00")
    return utc_milliseconds(datetime.fromisoformat(f"{match['date']}T{time}{zone}"))


def _month(name: str) -> int:
    """The month of an English name or its first three letters, whatever the server's locale."""
    for number, month in enumerate(MONTHS, 1):
        if name.lower() in (month, month[:3]):
            return number
    raise ValueError(name)
