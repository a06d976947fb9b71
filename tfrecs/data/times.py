"""The one rule by which a time column becomes numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def parse_times(values: Any) -> tuple[np.ndarray, np.ndarray]:
    """A time column as numbers, and where it could not be read.

    Numbers (and strings of numbers) are taken as they are, in whatever unit. Datetimes and
    ISO 8601 strings become seconds since 1970-01-01 UTC; without a zone they are UTC.

    Args:
        values: 1-D numbers, strings, datetimes or a mixture.

    Returns:
        `times`, int64 where every time is a whole number and float64 otherwise (0 where
        invalid); and `invalid`, a bool array: missing, infinite or unreadable.

    Example:
        >>> parse_times(["1970-01-01T00:01:00", "5", "soon"])
        (array([60,  5,  0]), array([False, False,  True]))
    """
    series = pd.Series(values)
    if series.dtype.kind in "iu" and not series.hasnans:
        return series.to_numpy(np.int64), np.zeros(len(series), bool)
    if series.dtype.kind == "M":
        times = _seconds(series)
    elif series.dtype.kind == "f":
        times = series.to_numpy(np.float64, na_value=np.nan)
    else:
        codes, uniques = pd.factorize(series)
        times = np.append(_parse_distinct(pd.Series(uniques)), np.nan)[codes]
    invalid = ~np.isfinite(times)
    times = np.where(invalid, 0.0, times)
    if (times == np.floor(times)).all() and (np.abs(times) <= 2**53).all():
        return times.astype(np.int64), invalid
    return times, invalid


def _parse_distinct(values: pd.Series) -> np.ndarray:
    """Distinct strings, datetimes or objects as float64, NaN where unreadable."""
    numbers = pd.to_numeric(values.astype(object), errors="coerce").to_numpy(np.float64, copy=True)
    rest = np.isnan(numbers)
    if rest.any():
        dates = pd.to_datetime(
            values[rest].astype(str), utc=True, format="ISO8601", errors="coerce"
        )
        numbers[rest] = _seconds(dates)
    return numbers


def _seconds(dates: pd.Series) -> np.ndarray:
    """Datetimes as float64 seconds since 1970 UTC, NaN where missing."""
    if dates.dt.tz is not None:
        dates = dates.dt.tz_convert("UTC").dt.tz_localize(None)
    nanoseconds = dates.to_numpy("datetime64[ns]")
    return np.where(np.isnat(nanoseconds), np.nan, nanoseconds.astype(np.int64) / 1e9)
