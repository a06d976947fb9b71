"""Durations and times of day as seconds."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

# "1 days 02:03:04", "1 day, 2:03:04", "10:30", "10:30:00.5", "P1DT2H3M4S".
_FORM = r"\s*(?:(?:-?\d+ days?,? ?)?[+-]?\d{1,4}:\d{2}(?::\d{2}(?:\.\d+)?)?|-?P[\dT][\dDTHMS.]*)\s*"
_WITHOUT_SECONDS = r"^((?:.*[ +-])?\d{1,4}:\d{2})$"


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


def in_seconds(values: pd.Series) -> np.ndarray:
    """Returns durations and times of day (since midnight) as seconds, float64.

    Args:
        values: Durations, times of day, or strings of them; "10:30" are hours and minutes.

    Returns:
        `[rows]`, NaN where a value is missing or cannot be read.

    Example:
        >>> import pandas as pd
        >>> in_seconds(pd.Series(["10:30", "1 days 00:00:05", "tea", None])).tolist()
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
