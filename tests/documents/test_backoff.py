"""Delays between attempts grow, and both each of them and all together are bounded."""

from collections.abc import Iterator
from itertools import islice

import pytest

from documents.backoff import backoff_delays


@pytest.mark.parametrize(
    ("delays", "expected"),
    [
        (backoff_delays(1, 30, factor=2), [1, 2, 4, 8, 16, 30, 30, 30]),
        (backoff_delays(2, 8), [2, 3, 4.5, 6.75, 8, 8, 8, 8]),
        (backoff_delays(1, 4, factor=2, total=15), [1, 2, 4, 4, 4]),
        (backoff_delays(1, 4, factor=2, total=14.9), [1, 2, 4, 4]),
        (backoff_delays(1, 4, total=0.5), []),
    ],
)
def test_delays_grow_to_the_longest_until_the_total_is_reached(delays: Iterator[float], expected: list[float]) -> None:
    assert list(islice(delays, 8)) == expected
