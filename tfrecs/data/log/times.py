"""The rules by which columns of times and of durations become numbers."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
# Day, month and year, or month, day and year; perhaps a time, perhaps of half a day.
_PARTS = (
    r"^(?P<first>\d{1,2})(?P<mark>[./-])(?P<second>\d{1,2})[./-](?P<year>\d{4}|\d{2})"
    r"(?:[ T,]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<seconds>\d{2}(?:\.\d+)?))?"
    r"\s*(?P<half>[AaPp][Mm])?)?$"
)
_ISO_HALF_DAY = r"^\d{4}-\d\d?-\d\d? \d{1,2}:\d\d(?::\d\d)?\s*[AaPp][Mm]$"
# "1 days 02:03:04", "1 day, 2:03:04", "10:30", "10:30:00.5", "P1DT2H3M4S".
_DURATION = (
    r"\s*(?:(?:-?\d+ days?,? ?)?[+-]?\d{1,4}:\d{2}(?::\d{2}(?:\.\d+)?)?|-?P[\dT][\dDTHMS.]*)\s*"
)
_WITHOUT_SECONDS = r"^((?:.*[ +-])?\d{1,4}:\d{2})$"
_UTC = r"\s*(?:UTC|GMT)$"
# A number of at least this size counts milliseconds, microseconds or nanoseconds since 1970. As
# seconds it would be a time after the year 5000, and in the next smaller unit one before 1974.
_SIZES = ((1e17, 10**9), (1e14, 10**6), (1e11, 10**3))


def parse_times(values: Any, time_format: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Returns a time column as numbers, and which times are missing, infinite or unreadable.

    Numbers (and strings of numbers) keep their unit, unless there are dates beside them: then they
    become seconds (`in_seconds`). Datetimes and strings become seconds since 1970-01-01; without a
    zone they are UTC. Strings may be ISO 8601 (also with " UTC" at the end), day.month.year, and
    dates with slashes or dashes if some row tells, by a number above 12, whether the day or the
    month comes first. Years of two digits are 1969 to 2068.

    Args:
        values: 1-D numbers, strings, datetimes or a mixture.
        time_format: Form of all strings, as `datetime.strptime` has it.

    Returns:
        The times, int64 if all are whole numbers and float64 otherwise, 0 where invalid; and the
        bool array of invalid ones.

    Raises:
        ValueError: If day and month could be either way round, or the column has both orders.

    Example:
        >>> parse_times(["1970-01-01T00:01:00", "5", "soon"])
        (array([60,  5,  0]), array([False, False,  True]))
        >>> parse_times(["1/13/70 0:01"])[0]
        array([1036860])
    """
    series = _plain(pd.Series(values))
    if series.dtype.kind in "iu":
        invalid = series.isna().to_numpy(bool)
        if series.dtype.kind == "u" and (series > np.iinfo(np.int64).max).any():
            return parse_times(series.astype(object), time_format)
        return series.to_numpy(np.int64, na_value=0), invalid
    if series.dtype.kind == "M":
        times = _seconds(series)
    elif series.dtype.kind == "f":
        times = series.to_numpy(np.float64, na_value=np.nan)
    else:
        codes, uniques = pd.factorize(series)
        times = np.append(_parse_distinct(pd.Series(uniques), time_format), np.nan)[codes]
    invalid = ~np.isfinite(times)
    times = np.where(invalid, 0.0, times)
    if (times == np.floor(times)).all() and (np.abs(times) <= 2**53).all():
        return times.astype(np.int64), invalid
    return times, invalid


def in_seconds(times: np.ndarray) -> np.ndarray:
    """Returns times as whole seconds, int64, rounded down; each number's size tells its unit."""
    divisor = units_of(times)
    if times.dtype.kind in "iu":
        return times // divisor
    return np.floor(times / divisor).astype(np.int64)


def unit_of(times: np.ndarray) -> int:
    """Returns how many units (1, 10^3, 10^6 or 10^9) make a second; the largest time tells."""
    return int(units_of(np.abs(times).max(initial=0, keepdims=True))[0])


def units_of(times: np.ndarray) -> np.ndarray:
    """Returns how many of each time's units, which its size tells, make a second."""
    units = np.ones(len(times), np.int64)
    for least, per_second in _SIZES:
        units[(np.abs(times) >= least) & (units == 1)] = per_second
    return units


def looks_like_times(values: pd.Series) -> bool:
    """Returns whether nearly all values are datetimes or strings of dates; numbers never are."""
    values = _plain(values).dropna()
    if values.dtype.kind == "M":
        return len(values) > 0
    if values.dtype.kind in "iufb" or not len(values):
        return False
    if not isinstance(values.iloc[0], str | datetime | date):
        return False
    some = pd.Series(pd.unique(values.astype(object))[:1000], dtype=object).astype(str)
    if some.str.fullmatch(r"[\d.,\s]*").mean() > 0.5 and not some.str.match(_PARTS).all():
        return False
    try:
        read = _dates(some, None)
    except ValueError:  # These are dates, although day and month could be swapped.
        return True
    return bool(np.isfinite(read).mean() >= 0.99)


def looks_like_durations(values: pd.Series) -> bool:
    """Returns whether all values are, or read as, durations or times of day; numbers never do."""
    if values.dtype.kind == "m":
        return True
    values = values.dropna()
    if not len(values) or values.dtype.kind in "iufbM":
        return False
    if not isinstance(values.iloc[0], str | time | timedelta):
        return False
    return bool(values.astype(object).astype(str).str.fullmatch(_DURATION).all())


def duration_seconds(values: pd.Series) -> np.ndarray:
    """Returns durations, times of day and strings of both as float64 seconds, NaN if unreadable.

    Example:
        >>> import pandas as pd
        >>> duration_seconds(pd.Series(["10:30", "1 days 00:00:05", "tea", None])).tolist()
        [37800.0, 86405.0, nan, nan]
    """
    if values.dtype.kind == "m":
        spans = values.to_numpy("timedelta64[ns]", na_value=np.timedelta64("NaT"))
    else:
        texts = values.astype(object).where(values.notna(), "").astype(str).str.strip()
        texts = texts.where(texts.str.fullmatch(_DURATION), "")
        texts = texts.str.replace(_WITHOUT_SECONDS, r"\1:00", regex=True)
        spans = pd.to_timedelta(texts, errors="coerce").to_numpy("timedelta64[ns]")
    seconds = spans / np.timedelta64(1, "s")
    return np.asarray(seconds, np.float64)


def forms(texts: pd.Series, most: int = 3) -> list[str]:
    """Returns one text of each form, such as "5/1/24 9:30", the most frequent forms first."""
    shapes = texts.str.replace(r"\d+", "9", regex=True).str.replace(r"[A-Za-z]+", "a", regex=True)
    frequent = shapes.value_counts().index[:most]
    return [str(texts[shapes == shape].iloc[0])[:60] for shape in frequent]


def _plain(series: pd.Series) -> pd.Series:
    """Returns a column of a pyarrow type in a numpy or nullable integer type."""
    if not isinstance(series.dtype, pd.ArrowDtype):
        return series
    array = pa.array(series.array)
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("s" if pa.types.is_date32(array.type) else "ms"))
    if pa.types.is_timestamp(array.type):
        # In UTC already, whatever its zone shows.
        return pd.Series(array.cast(pa.timestamp(array.type.unit)).to_numpy(zero_copy_only=False))
    if pa.types.is_integer(array.type):
        return pd.Series(array.to_pandas(types_mapper={array.type: pd.Int64Dtype()}.get))
    return pd.Series(array.to_pandas())


def _parse_distinct(values: pd.Series, time_format: str | None) -> np.ndarray:
    """Returns distinct strings, datetimes or objects as float64, NaN where unreadable."""
    numbers = np.full(len(values), np.nan)
    if time_format is None:
        given = pd.to_numeric(values.astype(object), errors="coerce")
        numbers = given.to_numpy(np.float64, na_value=np.nan).copy()
    rest = np.isnan(numbers)
    if rest.any():
        numbers[rest] = _dates(values[rest].astype(str), time_format)
        if np.isfinite(numbers[rest]).any():
            numbers[~rest] /= units_of(numbers[~rest])
    return numbers


def _dates(texts: pd.Series, time_format: str | None) -> np.ndarray:
    """Returns strings of dates as float64 seconds, NaN where unreadable."""
    texts = texts.str.strip().reset_index(drop=True)
    if time_format is not None:
        return _seconds(pd.to_datetime(texts, format=time_format, errors="coerce", utc=True))
    texts = texts.str.replace(_UTC, "", regex=True)
    seconds = _seconds(pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce"))
    # Years that nanoseconds cannot count.
    far = np.isnan(seconds) & texts.str.match(r"^\d{4}-\d\d-\d\d").to_numpy(bool)
    seconds[far] = [_by_hand(text) for text in texts[far]]
    half_days = np.isnan(seconds) & texts.str.match(_ISO_HALF_DAY).to_numpy(bool)
    if half_days.any():
        spaced = texts[half_days].str.replace(r"\s*([AaPp][Mm])$", r" \1", regex=True)
        seconds[half_days] = _mixed(spaced)
    rest = np.isnan(seconds)
    if rest.any():
        seconds[rest] = _by_parts(texts[rest])
    # "5 Jan 2024 10:00": the month is a word, so nothing is ambiguous.
    has_words = texts.str.contains(r"[A-Za-z]{3}.*\d{4}|\d{4}.*[A-Za-z]{3}").to_numpy(bool)
    words = np.isnan(seconds) & has_words
    if words.any():
        seconds[words] = _mixed(texts[words])
    return seconds


def _mixed(texts: pd.Series) -> np.ndarray:
    return _seconds(pd.to_datetime(texts, format="mixed", errors="coerce", utc=True))


def _by_hand(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return float("nan")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return (moment - _EPOCH).total_seconds()


def _by_parts(texts: pd.Series) -> np.ndarray:
    """Returns the seconds of dates like 13.1.2024, 1/13/24 9:30 and 13-01-2024, NaN for others."""
    parts = texts.str.extract(_PARTS)
    found = parts["first"].notna().to_numpy(bool)
    seconds = np.full(len(texts), np.nan)
    if not found.any():
        return seconds
    parts = parts[found]
    number = {
        name: pd.to_numeric(parts[name]).fillna(0).to_numpy(np.float64)
        for name in ("first", "second", "year", "hour", "minute", "seconds")
    }
    first, second = number["first"], number["second"]
    # With points the day comes first, everywhere.
    points = (parts["mark"] == ".").to_numpy(bool)
    day_first, month_first = (first > 12) & ~points, (second > 12) & ~points
    unclear = ~points & (first != second)
    if day_first.any() and month_first.any():
        raise ValueError(
            f"In {parts.index.size} dates like {texts[found][day_first].iloc[0]!r} and "
            f"{texts[found][month_first].iloc[0]!r} the day comes first in some and the month in "
            'others. Bring them into one form, or pass time_format="...".'
        )
    if unclear.any() and not day_first.any() and not month_first.any():
        raise ValueError(
            f"Dates like {texts[found][unclear].iloc[0]!r} can be read with the day or with the "
            'month first, and no row tells which. Pass time_format="%d/%m/%Y" or '
            'time_format="%m/%d/%Y", in the form that they have.'
        )
    swapped = points | day_first.any()
    day, month = np.where(swapped, first, second), np.where(swapped, second, first)
    short = (parts["year"].str.len() == 2).to_numpy(bool)
    year = number["year"] + np.where(short, np.where(number["year"] >= 69, 1900, 2000), 0)
    half = parts["half"].str.lower()
    hour = number["hour"]
    bad_half = half.notna().to_numpy(bool) & ((hour < 1) | (hour > 12))
    hour = np.where(half.notna(), hour % 12 + 12 * (half == "pm"), hour)
    days = pd.to_datetime(
        pd.DataFrame({"year": year, "month": month, "day": day}).astype(int), errors="coerce"
    )
    clock = 3600 * hour + 60 * number["minute"] + number["seconds"]
    bad = bad_half | (hour > 23) | (number["minute"] > 59) | (number["seconds"] >= 60)
    seconds[found] = np.where(bad, np.nan, _seconds(days) + clock)
    return seconds


def _seconds(dates: pd.Series) -> np.ndarray:
    """Returns datetimes as float64 seconds since 1970 UTC, NaN where missing."""
    if dates.dt.tz is not None:
        dates = dates.dt.tz_convert("UTC").dt.tz_localize(None)
    moments = dates.to_numpy()
    unit = np.datetime_data(moments.dtype)[0]
    if unit not in _PER_SECOND:
        moments, unit = moments.astype("datetime64[s]"), "s"
    counts = moments.astype(np.int64)
    return np.where(np.isnat(moments), np.nan, counts / _PER_SECOND[unit])
