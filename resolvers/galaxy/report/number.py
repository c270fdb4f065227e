"""Numbers in texts."""

import math
import re

DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")


def number_of(text: str) -> float | None:
    """The number in a metric's text; None when it is no decimal number, or exceeds 64 bits."""
    if not DECIMAL.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None
