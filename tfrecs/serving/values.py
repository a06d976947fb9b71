"""Raw values as arrays of the type that a signature's input takes.

A server tells the types of inputs, and an export's manifest also tells what stands for a missing
value. This module needs NumPy alone, because a client by REST has no TensorFlow: only `as_trained`
loads pandas and the data room.
"""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

# No vocabulary has this id, and exports skip unknown ids: it pads lists and stands for "nobody". As
# a time it is NumPy's NaT, which exports read as missing.
NOBODY = -(2**63)
# Inputs of ids, where an unknown id may stand for a missing one.
_IDS = frozenset({"history", "exclude", "user_id", "item_id", "candidates"})


def parse_id(raw: Any, is_integer: bool, what: str, whose: str) -> int | str:
    """Returns a raw id in the type of an export's ids.

    Args:
        raw: The id. Strings of digits are read as integers where the export has integers.
        is_integer: Whether the export has integers.
        what: The role of `raw`, for an error.
        whose: The owner of the ids, for an error.

    Raises:
        ValueError: If `raw` is no integer of 64 bits; or, where ids are text, missing or a list.
    """
    if not is_integer:
        if _is_missing(raw) or (isinstance(raw, Iterable) and not isinstance(raw, str | bytes)):
            raise ValueError(f"{raw!r} is not {what}: the {whose} are text.")
        return raw.decode() if isinstance(raw, bytes) else str(raw)
    whole = int(raw) if isinstance(raw, float) and raw.is_integer() else raw
    text = whole.decode() if isinstance(whole, bytes) else str(whole).strip()
    if not re.fullmatch(r"-?[0-9]+", text) or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f"{raw!r} is not {what}: the {whose} are integers (int64).")
    return int(text)


def array_of(
    values: Iterable[Any], name: str, given: Mapping[str, Any], width: int = 1
) -> np.ndarray:
    """Returns a column as an input takes it, by the input's type alone.

    Args:
        values: A value a row, or a list of values, which is padded at its end. None, NaN, NaT and
            pandas.NA are missing.
        name: The column's name.
        given: What the server and the manifest say of the input.
        width: The least width of lists.

    Raises:
        ValueError: If a value has another type, or is missing and the input has no known
            replacement.
    """
    dtype, shape, missing = given["dtype"], given["shape"], _missing_value(name, given)
    if shape is None or len(shape) not in (1, 2) or dtype not in _READERS:
        raise ValueError(
            f"The input {name!r} takes {dtype} of shape {shape}, for which there is no column: use "
            "Client.predict."
        )

    def entry(value: Any) -> Any:
        if not _is_missing(value):
            return _READERS[dtype](value, name)
        if missing is None:
            raise ValueError(
                f"A value of {name!r} is missing, and for integers only the manifest says what "
                "stands for that: give the Client `export`, or fill it in."
            )
        return missing

    if len(shape) == 1:
        return _array([entry(value) for value in values], dtype)
    rows = [[entry(value) for value in _listed(row)] for row in values]
    if dtype == "float32" and shape[1] is not None:
        # A vector is never padded: it is there as a whole or missing as a whole.
        wrong = next((len(row) for row in rows if len(row) not in (0, shape[1])), None)
        if wrong is not None:
            raise ValueError(f"{name!r} has vectors of {shape[1]} numbers, not of {wrong}.")
    return padded(rows, width, name, given)


def as_trained(values: Any, name: str, given: Mapping[str, Any], width: int = 1) -> np.ndarray:
    """Returns a column as an input takes it, by the manifest's `kind`, read as training reads it.

    Takes the arguments of `array_of`; `values` may be a Series.
    """
    # Imported only now: a recommendation needs neither pandas nor Keras.
    import pandas as pd

    from tfrecs.data import Numeric, Vector
    from tfrecs.data.features.columns import is_missing, listed
    from tfrecs.data.log.times import in_seconds, parse_times

    values, kind = pd.Series(values, name=name), given["kind"]
    if "beside" in given:  # Lists, a value for each item of a history.
        rows = [listed(row) for row in values]
        flat = pd.Series(list(itertools.chain.from_iterable(rows)), dtype=object)
        single = {name: x for name, x in given.items() if name != "beside"} | {"shape": [None]}
        read = iter(as_trained(flat, name, single).tolist())
        return padded([[next(read) for _ in row] for row in rows], width, name, given)
    if kind == "Numeric":
        return Numeric().encode(values)
    if kind == "Vector":
        return Vector(given["shape"][1]).encode(values)
    if kind == "Timestamp":
        times, invalid = parse_times(values)
        return np.where(invalid, given["missing"], in_seconds(times))
    if kind == "Text":
        return _array(["" if is_missing(text) else str(text) for text in values], "string")
    if len(given["shape"]) == 1:
        return _trained_ids(values, given, given["missing"])
    rows = [listed(row) for row in values]
    flat = pd.Series(list(itertools.chain.from_iterable(rows)), dtype=object, name=name)
    # Padding is no item, while a missing value among items is an unknown item.
    hole = given["unknown"] if kind in ("History", "Ids") else given["missing"]
    ids = iter(_trained_ids(flat, given, hole).tolist())
    return padded([[next(ids) for _ in row] for row in rows], width, name, given)


def padded(
    rows: Sequence[Sequence[Any]], width: int, name: str, given: Mapping[str, Any]
) -> np.ndarray:
    """Returns rows of the input's type, filled up at their end to its width, or at least `width`.

    Raises:
        ValueError: If a row is too long, or nothing is known to fill rows with.
    """
    longest, most = max(map(len, rows), default=0), given["shape"][1]
    if most is not None and longest > most:
        raise ValueError(f"A row of {name!r} has {longest} values; it takes at most {most}.")
    # Never 0, from which JSON and batches cannot tell one row from none.
    width = max(width, longest, 1) if most is None else most
    missing = _missing_value(name, given)
    if missing is None and name.startswith("history"):
        missing = NOBODY  # It stands beside the padding of a history, and is not read.
    if missing is None and any(len(row) < width for row in rows):
        raise ValueError(
            f"Rows of {name!r} differ in length, and only the manifest says what integers are "
            "filled up with: give the Client `export`."
        )
    flat = itertools.chain.from_iterable([*row, *[missing] * (width - len(row))] for row in rows)
    return _array(list(flat), given["dtype"]).reshape(len(rows), width)


def _trained_ids(values: Any, given: Mapping[str, Any], hole: Any) -> np.ndarray:
    """Raw ids in the export's type, with `hole` where one is missing."""
    from tfrecs.data.log.ids import id_column

    if values.dtype == bool:
        values = values.astype(object).map(str)
    column, missing = id_column(values, values.name)
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
    if re.fullmatch(r"0|-?[1-9][0-9]*", text) and -(2**63) <= int(text) < 2**63:
        return int(text)
    return unknown


def _missing_value(name: str, given: Mapping[str, Any]) -> int | float | str | None:
    """What stands for a missing value of an input; None where that is not known."""
    if "missing" in given:
        return float("nan") if given["missing"] == "NaN" else given["missing"]
    if given["dtype"].startswith("float"):
        # A vector, whose width is known, is missing as a whole.
        shape = list(given["shape"] or ())
        return 0.0 if len(shape) == 2 and shape[1] is not None else float("nan")
    if given["dtype"] == "string":
        return ""
    return NOBODY if name in _IDS else None


def _array(values: list[Any], dtype: str) -> np.ndarray:
    if dtype == "string":
        return np.array([*values, None], object)[:-1]
    return np.array(values, dtype)


def _listed(row: Any) -> list[Any]:
    """The values of a row; a missing row has none."""
    if isinstance(row, str | bytes) or not isinstance(row, Iterable):
        return [] if _is_missing(row) else [row]
    return list(row)


def _is_missing(value: Any) -> bool:
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # pandas.NA is neither equal nor unequal; so is an array.
        return not isinstance(value, np.ndarray)


def _integer(value: Any, name: str) -> int:
    if isinstance(value, np.datetime64):
        return int(value.astype("datetime64[s]").astype(np.int64))
    if isinstance(value, datetime.datetime):
        # A time without a zone is in UTC, as in the data room.
        aware = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        return int(aware.timestamp() // 1)
    return int(parse_id(value, True, f"a value of {name!r}", "values"))


def _text(value: Any, name: str) -> str:
    # pandas turns integers into floats where one is missing.
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    text = str(parse_id(whole, False, f"a value of {name!r}", "values"))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{text!r} in {name!r} cannot be sent as UTF-8: {error}.") from error
    return text


def _number(value: Any, name: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{value!r} in {name!r} is no number.") from error


_READERS = {"int64": _integer, "string": _text, "float32": _number}
