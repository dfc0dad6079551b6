"""Numbers in files that others wrote."""

from __future__ import annotations

import math


def finite(value: object) -> float | None:
    """The number as a finite float; None for anything else, such as text, true, NaN or a number too large."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None
