"""Byte ranges of a `Range` header, by RFC 9110, section 14."""

import re

from starlette.exceptions import HTTPException

MAX_RANGES = 100
"""A header with more ranges is ignored: each is a separate read."""
RANGE = re.compile(r"([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18})")


def byte_ranges(header: str, size: int) -> list[tuple[int, int]]:
    """The ranges as (begin, end), end excluded, in order and without overlap; empty when all bytes are to be sent.

    A header with another unit than bytes, or with an invalid range, is ignored, as the RFC demands. Raises
    HTTPException 416 when no range begins within `size` bytes.
    """
    unit, _, asked = header.partition("=")
    if unit.strip().lower() != "bytes" or asked.count(",") >= MAX_RANGES:
        return []
    ranges = [_range(one.strip(), size) for one in asked.split(",")]
    if any(begin > end for begin, end in ranges):
        return []
    within = sorted((begin, end) for begin, end in ranges if begin < end)
    if not within:
        raise HTTPException(416, f"The object has {size:,} bytes.", {"Content-Range": f"bytes */{size}"})
    return _apart(within)


def _range(text: str, size: int) -> tuple[int, int]:
    """One range as (begin, end): empty when it begins after the last byte, with end < begin when it is invalid."""
    found = RANGE.fullmatch(text)
    if found is None:
        return 1, 0
    first, last, suffix = found.groups()
    if suffix is not None:
        return max(size - int(suffix), 0), size
    begin, end = int(first), int(last) + 1 if last else max(size, int(first))
    return (1, 0) if last and end <= begin else (min(begin, size), min(end, size))


def _apart(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The ranges with overlapping and adjacent ones joined."""
    apart = ranges[:1]
    for begin, end in ranges[1:]:
        if begin <= apart[-1][1]:
            apart[-1] = apart[-1][0], max(end, apart[-1][1])
        else:
            apart.append((begin, end))
    return apart
