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
    unit, _, specs = header.partition("=")
    if unit.strip().lower() != "bytes" or specs.count(",") >= MAX_RANGES:
        return []
    ranges = [_range(spec.strip(), size) for spec in specs.split(",")]
    if any(begin > end for begin, end in ranges):
        return []
    satisfiable = sorted((begin, end) for begin, end in ranges if begin < end)
    if not satisfiable:
        raise HTTPException(416, f"The object has {size:,} bytes.", {"Content-Range": f"bytes */{size}"})
    return _join(satisfiable)


def _range(text: str, size: int) -> tuple[int, int]:
    """One range as (begin, end): empty when it begins after the last byte, with end < begin when it is invalid."""
    match = RANGE.fullmatch(text)
    if match is None:
        return 1, 0
    first, last, suffix = match.groups()
    if suffix is not None:
        return max(size - int(suffix), 0), size
    begin, end = int(first), int(last) + 1 if last else max(size, int(first))
    return (1, 0) if last and end <= begin else (min(begin, size), min(end, size))


def _join(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join overlapping and adjacent ranges."""
    joined = ranges[:1]
    for begin, end in ranges[1:]:
        if begin <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((begin, end))
    return joined
