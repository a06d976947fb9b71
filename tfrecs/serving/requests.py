"""A DataFrame's columns as the raw values that a signature takes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tfrecs.data import Numeric, Vector
from tfrecs.data.features.columns import is_missing, listed
from tfrecs.data.log.ids import id_column
from tfrecs.data.log.times import in_seconds, parse_times

_INT64 = np.iinfo(np.int64)


def request_of(
    frame: pd.DataFrame, inputs: Mapping[str, Mapping[str, Any]], *, partial: bool = False
) -> dict[str, np.ndarray]:
    """Returns a request for the rows of a DataFrame; its values are read as training reads them.

    Args:
        frame: The rows.
        inputs: The inputs of the signature, as the manifest describes them.
        partial: Whether a column that is not there counts as missing in every row.

    Raises:
        ValueError: If a column is not there, or holds what cannot be read.
    """
    wanted = {name: str(given["column"]) for name, given in inputs.items()}
    missing = [column for column in wanted.values() if column not in frame.columns]
    if missing and (not partial or len(missing) == len(wanted)):
        raise ValueError(
            f"The data have no column {', '.join(map(repr, missing))}, only "
            f"{', '.join(map(repr, frame.columns))}."
        )
    nothing = pd.Series([None] * len(frame), dtype=object)
    return {
        name: raw_values(nothing if column in missing else frame[column], inputs[name])
        for name, column in wanted.items()
    }


def raw_values(values: pd.Series, given: Mapping[str, Any]) -> np.ndarray:
    """Returns the values of a column as an input takes them.

    Args:
        values: The column.
        given: The input, as the manifest describes it.
    """
    kind, shape = given["kind"], given["shape"]
    if kind == "Numeric":
        return Numeric().encode(values)
    if kind == "Vector":
        return Vector(shape[1]).encode(values)
    if kind == "Timestamp":
        times, invalid = parse_times(values)
        return np.where(invalid, given["missing"], in_seconds(times))
    if kind == "Text":
        return np.array(["" if is_missing(text) else str(text) for text in values], object)
    if len(shape) == 1:
        return _ids(values, given, given["missing"])
    rows = [listed(row) for row in values]
    lengths = np.array([len(row) for row in rows], np.int64)
    longest = int(lengths.max(initial=0))
    if shape[1] is not None:
        if longest > shape[1]:
            raise ValueError(
                f"{given['column']} holds {longest} ids in a row, and this export takes at most "
                f"{shape[1]}: give fewer, or export the model with more."
            )
        longest = shape[1]
    dtype = np.int64 if given["dtype"] == "int64" else object
    raw = np.full((len(rows), longest), given["missing"], dtype)
    flat = pd.Series(list(itertools.chain.from_iterable(rows)), dtype=object)
    # Among items padding is none, while a value that is missing is one that nobody knows.
    hole = given["unknown"] if kind in ("History", "Ids") else given["missing"]
    if len(flat):
        raw[np.arange(longest) < lengths[:, np.newaxis]] = _ids(flat, given, hole)
    return raw


def _ids(values: pd.Series, given: Mapping[str, Any], hole: Any) -> np.ndarray:
    """Raw ids in the type that the export has them in; `hole` where one is missing."""
    if values.dtype == bool:
        values = values.astype(object).map(str)
    column, missing = id_column(values, given["column"])
    if given["dtype"] == "int64":
        if isinstance(column, np.ndarray):
            raw = column.copy()
        else:
            whole = [_whole(text, given["unknown"]) for text in column.categories]
            raw = np.array([*whole, 0], np.int64)[column.codes]
        raw[raw == given["missing"]] = given["unknown"]
    elif isinstance(column, np.ndarray):
        raw = column.astype(str).astype(object)
    else:
        raw = np.array([*column.categories, ""], object)[column.codes]
    raw[missing] = hole
    return raw


def _whole(text: str, unknown: int) -> int:
    """The integer that a string reads as, by the rule of raw ids."""
    if re.fullmatch(r"0|-?[1-9][0-9]*", text) and _INT64.min <= int(text) <= _INT64.max:
        return int(text)
    return unknown
