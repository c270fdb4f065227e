"""Exponential back-off: the delays between the attempts of a retry loop."""

import math
from collections.abc import Iterator


def backoff_delays(first: float, longest: float, *, factor: float = 1.5, total: float = math.inf) -> Iterator[float]:
    """Seconds to wait after each failed attempt: `first`, then `factor` times as long each time, up to `longest`.

    The delays end before their sum would exceed `total`.
    """
    delay = first
    while delay <= total:
        yield delay
        total -= delay
        delay = min(factor * delay, longest)
