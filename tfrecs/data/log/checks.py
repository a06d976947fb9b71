"""Checks of the columns that a log needs: ids, times and weights."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd

from tfrecs.data.log.times import forms, looks_like_times, parse_times, units_of

# A log without a time column is in file order. These names warn that such a column was overlooked.
_TIME_NAMES = frozenset(
    ("timestamp", "time", "date", "datetime", "ts", "unixreviewtime", "event_time", "created_at")
)
# Above this share of unreadable times the whole column is probably misread.
_MOST_UNREADABLE = 0.01


def check_columns(
    frame: pd.DataFrame, user: str, item: str, timestamp: str | None, name: str
) -> str | None:
    """Returns the time column's name, or None for a log without times; refuses missing columns."""
    columns = frame.columns
    wanted = {"user": user, "item": item}
    if timestamp not in (None, "timestamp"):
        wanted["timestamp"] = timestamp
    missing = {role: column for role, column in wanted.items() if column not in columns}
    if missing:
        named = ", ".join(repr(column) for column in missing.values())
        remedy = ", ".join(f'{role}="..."' for role in missing)
        raise ValueError(
            f"{name}: no column {named}. The columns are {', '.join(map(repr, columns))}. "
            f"Say which to use with {remedy}."
        )
    if len({*wanted.values()}) < len(wanted):
        raise ValueError(f"{name}: one column can not be two of {wanted}.")
    if timestamp == "timestamp" and timestamp not in columns:
        alike = [c for c in columns if str(c).casefold() in _TIME_NAMES]
        others = (c for c in columns if c not in (user, item))
        alike = alike or [c for c in others if looks_like_times(frame[c].head(1000))]
        if alike:
            raise ValueError(
                f"{name}: no column 'timestamp'. Pass timestamp={alike[0]!r} to take the times of "
                "that column, or timestamp=None if the order of the rows is the order of time."
            )
    return timestamp if timestamp in columns else None


def check_breaks(ids: Any, column: str, name: str) -> None:
    """Refuses ids with a line break: vocabularies and exports keep one id a line."""
    if not isinstance(ids, pd.Categorical):
        return
    broken = ids.categories.astype(str).str.contains(r"[\r\n]")
    if broken.any():
        code = int(np.flatnonzero(broken)[0])
        row = int(np.flatnonzero(ids.codes == code)[0])
        raise ValueError(
            f"{name}, column {column!r}, row {row + 1}: the id {ids.categories[code]!r:.80} holds "
            "a line break. Mend it, or look for a quote that is not closed."
        )


def weights_of(
    frame: pd.DataFrame, weight: str | None, taken: Collection[str | None], name: str
) -> np.ndarray | None:
    """Returns the float32 weights of a log's rows, or None if all weigh the same.

    Args:
        frame: The log.
        weight: The column of the weights, or None.
        taken: The columns of ids and times.
        name: The log's name, for errors.
    """
    if weight is None or (weight == "weight" and weight not in frame.columns):
        return None
    if weight not in frame.columns:
        raise ValueError(
            f"{name}: no column {weight!r}. The columns are {', '.join(map(repr, frame.columns))}. "
            'Say which to use with weight="...".'
        )
    if weight in taken:
        raise ValueError(f"{name}: column {weight!r} is that of ids or times already, no weight.")
    weights = read_weights(frame[weight], f"{name}, column {weight!r}")
    if not weights.any():
        raise ValueError(
            f"{name}, column {weight!r}: all weights are 0: there is nothing to learn."
        )
    return weights


def read_weights(values: pd.Series, place: str) -> np.ndarray:
    """Returns a column's weights as float32; refuses all but numbers of 0 or more."""
    given = pd.to_numeric(values.astype(object), errors="coerce")
    weights = given.to_numpy(np.float64, na_value=np.nan)
    with np.errstate(over="ignore"):
        bad = ~(np.isfinite(weights.astype(np.float32)) & (weights >= 0))
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(
            f"{place}, row {row + 1}: a weight is a number of 0 or more, not "
            f"{str(values.iloc[row])!r} ({int(bad.sum()):,} such rows). Mend them, or pass "
            "weight=None if the column is a feature like others."
        )
    return weights.astype(np.float32)


def times_of(
    values: pd.Series, time_format: str | None, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a log's times, and which are missing or unreadable; refuses too many bad ones."""
    try:
        times, invalid = parse_times(values, time_format)
    except ValueError as error:
        raise ValueError(f"{name}, column {values.name!r}: {error}") from None
    texts = values[invalid & values.notna().to_numpy(bool)].astype(str)
    texts = texts[texts.str.strip() != ""]
    if len(texts) > len(values) * _MOST_UNREADABLE and len(texts) > 2:
        shown = ", ".join(map(repr, forms(texts)))
        given = "" if time_format is None else f" by {time_format!r}"
        remedy = "Pass" if time_format is None else "Leave the format out to have it found, or pass"
        raise ValueError(
            f"{name}, column {values.name!r}: {len(texts):,} of {len(values):,} times can not be "
            f'read{given}, such as {shown}. {remedy} time_format="..." (as datetime.strptime has '
            "it), or bring them into one form."
        )
    _check_numbers(times[~invalid], f"{name}, column {values.name!r}")
    return times, invalid


def _check_numbers(times: np.ndarray, place: str) -> None:
    """Refuses times if more than 1% are negative, or if they are of several units."""
    many = max(len(times) * _MOST_UNREADABLE, 2)
    negative = times[times < 0]
    if len(negative) > many:
        raise ValueError(
            f"{place}: {len(negative):,} of {len(times):,} times are before 1970 or negative, such "
            f"as {negative[0]:.15g} (seconds), and would be dropped. Move the times, keep the "
            'others by where="...", or pass timestamp=None for the order of the rows.'
        )
    positive = times[times > 0]
    sizes = units_of(positive)
    units, counts = np.unique(sizes, return_counts=True)
    if (counts > many).sum() > 1:
        names = {1: "seconds", 10**3: "milliseconds", 10**6: "microseconds", 10**9: "nanoseconds"}
        shown = " and ".join(
            f"{names[int(unit)]} ({positive[sizes == unit][0]:.15g})" for unit in units
        )
        raise ValueError(f"{place}: the times are of several units, {shown}. Bring them into one.")
