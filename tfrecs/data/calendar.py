"""Seconds since 1970 as hours, weekdays, days and months, in whole numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

# Each part and how many values it has.
CALENDAR = {"hour": 24, "weekday": 7, "day": 31, "month": 12}

_DAY = 86_400


def calendar_ids(seconds: Any, parts: Sequence[str]) -> Any:
    """Returns the parts of times, as int32 ids from 1.

    Whole numbers and their operators only, so that a numpy array and a tensor in a served graph
    give the same. Days of the civil calendar by the 400-year cycle that starts in March, where the
    leap day comes last (Hinnant, "chrono-compatible low-level date algorithms").

    Args:
        seconds: int64 array `[n]`, seconds since 1970-01-01 UTC, or a tensor.
        parts: Keys of `CALENDAR`.

    Returns:
        int32 array `[n, len(parts)]` of ids 1..size; a list of the columns for a tensor.

    Example:
        >>> calendar_ids(np.array([951_782_400]), ["day", "month"]).tolist()  # 29 February 2000
        [[29, 2]]
    """
    days = seconds // _DAY
    day_of_era = (days + 719_468) % 146_097
    year = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year + year // 4 - year // 100)
    month = (5 * day_of_year + 2) // 153  # From March, which is 0.
    values = {
        "hour": seconds % _DAY // 3_600 + 1,
        "weekday": (days + 3) % 7 + 1,  # 1970 began on a Thursday.
        "day": day_of_year - (153 * month + 2) // 5 + 1,
        "month": (month + 2) % 12 + 1,
    }
    columns = [values[part] for part in parts]
    if isinstance(seconds, np.ndarray):
        return np.stack(columns, axis=-1).astype(np.int32)
    return columns
