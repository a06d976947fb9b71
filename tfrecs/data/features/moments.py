"""Times as numbers that a model reads: hours, weekdays, days and months; durations in seconds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

# Each part and how many values it has.
CALENDAR = {"hour": 24, "weekday": 7, "day": 31, "month": 12}

_DAY = 86_400

# "1 days 02:03:04", "1 day, 2:03:04", "10:30", "10:30:00.5", "P1DT2H3M4S".
_FORM = r"\s*(?:(?:-?\d+ days?,? ?)?[+-]?\d{1,4}:\d{2}(?::\d{2}(?:\.\d+)?)?|-?P[\dT][\dDTHMS.]*)\s*"
_WITHOUT_SECONDS = r"^((?:.*[ +-])?\d{1,4}:\d{2})$"


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


def looks_like_durations(values: pd.Series) -> bool:
    """Whether all values of a column are durations or times of day, or read as such.

    Args:
        values: The column. Numbers do not look like durations: their unit is not known.
    """
    if values.dtype.kind == "m":
        return True
    values = values.dropna()
    if not len(values) or values.dtype.kind in "iufbM":
        return False
    if not isinstance(values.iloc[0], str | dt.time | dt.timedelta):
        return False
    return bool(values.astype(object).astype(str).str.fullmatch(_FORM).all())


def duration_seconds(values: pd.Series) -> np.ndarray:
    """Returns durations and times of day (since midnight) as seconds, float64.

    Args:
        values: Durations, times of day, or strings of them; "10:30" are hours and minutes.

    Returns:
        `[rows]`, NaN where a value is missing or cannot be read.

    Example:
        >>> import pandas as pd
        >>> duration_seconds(pd.Series(["10:30", "1 days 00:00:05", "tea", None])).tolist()
        [37800.0, 86405.0, nan, nan]
    """
    if values.dtype.kind == "m":
        spans = values.to_numpy("timedelta64[ns]", na_value=np.timedelta64("NaT"))
    else:
        texts = values.astype(object).where(values.notna(), "").astype(str).str.strip()
        texts = texts.where(texts.str.fullmatch(_FORM), "")
        texts = texts.str.replace(_WITHOUT_SECONDS, r"\1:00", regex=True)
        spans = pd.to_timedelta(texts, errors="coerce").to_numpy("timedelta64[ns]")
    seconds = spans / np.timedelta64(1, "s")
    return np.asarray(seconds, np.float64)
