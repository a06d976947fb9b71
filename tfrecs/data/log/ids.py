"""The one rule by which raw ids become integers or strings.

Ids are int64 if all of them read as integers (`17`, `17.0`, `"17"` and `"17.0"` are the same id),
whatever file or column type they come from; otherwise all of them are strings. A string reads as an
integer if Python prints an integer or a whole float in this form: `"017"` and `"+17"` do not. Bytes
are UTF-8 text. If they are not, 16 bytes become a UUID, and others hexadecimal digits.
"""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

_INT64 = np.iinfo(np.int64)
_INTEGER = r"^(0|-?[1-9][0-9]*)(\.0+)?$"  # as Python prints one, or a whole float
_EXACT_FLOAT = 2**53  # past this a float64 can not tell neighbouring integers apart


def id_column(values: Any, name: str = "id") -> tuple[np.ndarray | pd.Categorical, np.ndarray]:
    """Returns raw ids as int64 or as categories of strings, and which are missing.

    Missing are None, NaN, empty strings and strings of white space; the column holds 0 or NaN
    there.

    Args:
        values: 1-D array, list, Series, Index or Categorical of ids.
        name: Name of the ids in errors.

    Raises:
        ValueError: If an id is a fraction, infinite, or a float too large to be exact.
    """
    series = pd.Series(values)
    if series.dtype.kind in "iu" and (series.dtype.kind == "i" or not series.gt(_INT64.max).any()):
        # A float could not hold 64 bits beside missing values.
        return series.to_numpy(np.int64, na_value=0), series.isna().to_numpy(bool)
    # The rule looks at distinct values only: a log has far fewer of them than rows.
    codes, uniques = pd.factorize(series)
    distinct, absent = _parse_distinct(np.asarray(uniques), name)
    # Code -1, for NaN and None, takes the last entry.
    missing = np.append(absent, True)[codes]
    if distinct.dtype == np.int64:
        return np.append(distinct, 0)[codes], missing
    # Values of several types may have the same text.
    distinct[absent] = None
    merged, categories = pd.factorize(distinct)
    column = pd.Categorical.from_codes(np.append(merged, -1)[codes], pd.Index(categories))
    return column, missing


def parse_ids(values: Any, name: str = "id") -> tuple[np.ndarray, np.ndarray]:
    """Returns what `id_column` returns, with strings as an object array ("" where missing).

    Example:
        >>> parse_ids(["7", 8.0, None])
        (array([7, 8, 0]), array([False, False,  True]))
    """
    column, missing = id_column(values, name)
    if isinstance(column, np.ndarray):
        return column, missing
    ids = np.append(np.asarray(column.categories, object), "")
    return ids[column.codes], missing


def _parse_distinct(values: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns distinct values that are not NaN as int64 or strings, and which are empty."""
    if values.dtype.kind in "fi":
        return _whole(values, name), np.zeros(len(values), bool)
    if pd.api.types.infer_dtype(values) != "string":
        values = np.array([_text(value, name) for value in values.tolist()], object)
    texts = pa.array(values, pa.string())
    absent = pc.equal(pc.utf8_trim_whitespace(texts), "")
    readable = pc.or_(pc.match_substring_regex(texts, _INTEGER), absent)
    if pc.all(readable, min_count=0).as_py():
        try:
            digits = pc.replace_substring_regex(texts, r"\.0+$", "")
            whole = pc.if_else(absent, "0", digits).cast(pa.int64())
            return whole.to_numpy(), absent.to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            pass  # past int64
    return np.array(values, object), absent.to_numpy(zero_copy_only=False)


def _whole(values: np.ndarray, name: str) -> np.ndarray:
    """Returns numbers as int64; refuses a float that is not a whole number."""
    if values.dtype.kind == "i":
        return values.astype(np.int64)
    bad = ~np.isfinite(values) | (values != np.floor(values)) | (np.abs(values) > _EXACT_FLOAT)
    if bad.any():
        raise ValueError(
            f"{name} holds {values[bad].tolist()[0]!r}: ids are integers or strings, so a float "
            "must be a whole number of at most 2**53. Convert the column to strings to use it as "
            "it is."
        )
    return values.astype(np.int64)


def _text(value: Any, name: str) -> str:
    """Returns one id as a string."""
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return str(uuid.UUID(bytes=value)) if len(value) == 16 else value.hex()
    if isinstance(value, list | dict | set | tuple | np.ndarray):
        raise ValueError(f"{name} holds {value!r:.80}: an id is one number or text.")
    if isinstance(value, float):
        return str(_whole(np.array([value]), name)[0])
    return str(value)
