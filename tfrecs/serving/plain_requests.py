"""Columns of plain values as a signature takes them, by NumPy alone.

`requests` does the same for an export at hand, by the data room, which needs TensorFlow. Here a
server's metadata say the types, and an export's manifest, where there is one, what is missing.
"""

from __future__ import annotations

import datetime
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

# No vocabulary has it, so that it pads and stands for "nobody": exports skip unknown ids. As a time
# it is NumPy's NaT, which they take for a missing one.
NOBODY = -(2**63)
# Inputs of ids, where an unknown id may stand for a missing one.
_IDS = frozenset({"history", "exclude", "user_id", "item_id", "candidates"})


def parse_id(raw: Any, is_integer: bool, what: str, whose: str) -> int | str:
    """Returns a raw id in the type of an export's ids.

    Args:
        raw: The id; strings of digits are read as integers, where those are meant.
        is_integer: Whether the ids are integers.
        what: What `raw` should be, for an error.
        whose: What has integers, for an error.

    Raises:
        ValueError: If it is no integer of 64 bits, or no text.

    Example:
        >>> parse_id("7", True, "an item id", "ids"), parse_id(7, False, "an item id", "ids")
        (7, '7')
    """
    if not is_integer:
        return raw.decode() if isinstance(raw, bytes) else str(raw)
    whole = int(raw) if isinstance(raw, float) and raw.is_integer() else raw
    text = whole.decode() if isinstance(whole, bytes) else str(whole).strip()
    if not re.fullmatch(r"-?[0-9]+", text) or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f"{raw!r} is not {what}: the {whose} are integers (int64).")
    return int(text)


def rows_of_users(
    histories: Iterable[Iterable[Any]],
    users: Iterable[Any] | None,
    exclude: Iterable[Iterable[Any]] | None,
) -> tuple[list[Any], list[Any], list[Any]]:
    """Returns the histories, users and exclusions of a batch, one of each for everybody.

    Args:
        histories: A history each.
        users: A user each; None for unknown ones.
        exclude: A list of items each; None for no exclusions.

    Raises:
        ValueError: If there are not as many users or lists as histories.
    """
    rows = list(histories)
    who = [None] * len(rows) if users is None else list(users)
    banned = [()] * len(rows) if exclude is None else list(exclude)
    if not len(rows) == len(who) == len(banned):
        raise ValueError(
            f"There are {len(rows)} histories, {len(who)} users and {len(banned)} lists of "
            "exclusions: there must be one of each for everybody."
        )
    return rows, who, banned


def missing_value(name: str, given: Mapping[str, Any]) -> int | float | str | None:
    """Returns what stands for a missing value of an input; None where that is not known.

    Args:
        name: The input's name.
        given: What the server says of it, and the manifest, if that is at hand.
    """
    if "missing" in given:
        missing = given["missing"]
        return float("nan") if missing == "NaN" else missing
    if given["dtype"].startswith("float"):
        return float("nan") if len(given["shape"] or ()) == 1 else 0.0
    if given["dtype"] == "string":
        return ""
    return NOBODY if name in _IDS else None


def array_of(
    values: Iterable[Any], name: str, given: Mapping[str, Any], width: int = 1
) -> np.ndarray:
    """Returns the values of a column as an input takes them.

    Args:
        values: A value a row, or a list of values, which is padded at its end; None, NaN and
            pandas' own are missing.
        name: The input's name.
        given: What the server says of it, and the manifest, if that is at hand.
        width: How long to make lists at least. Never 0, from which JSON and batches cannot tell
            one row from none.

    Raises:
        ValueError: If a value is not of the input's type, or is missing where nothing is known to
            stand for that.

    Example:
        >>> array_of([[3, 5], [7]], "history", {"dtype": "int64", "shape": [None, None]})[0]
        array([3, 5])
        >>> array_of([1.5, None], "price", {"dtype": "float32", "shape": [None]})
        array([1.5, nan], dtype=float32)
    """
    shape, missing = given["shape"], missing_value(name, given)
    if shape is None or len(shape) not in (1, 2) or given["dtype"] not in _READERS:
        raise ValueError(
            f"The input {name!r} takes {given['dtype']} of shape {shape}, for which there is no "
            "column: use Client.predict."
        )
    read = _READERS[given["dtype"]]

    def entry(value: Any) -> Any:
        if not _is_missing(value):
            return read(value, name)
        if missing is None:
            raise ValueError(
                f"A value of {name!r} is missing, and for integers only the manifest says what "
                "stands for that: give the Client `export`, or fill it in."
            )
        return missing

    if len(shape) == 1:
        return _array([entry(value) for value in values], given["dtype"])
    rows = [[entry(value) for value in _listed(row)] for row in values]
    longest = max(map(len, rows), default=0)
    if given["dtype"].startswith("float") and shape[1] is not None:
        # A vector: its numbers have their places, and it is missing as a whole.
        wrong = next((len(row) for row in rows if len(row) not in (0, shape[1])), None)
        if wrong is not None:
            raise ValueError(f"{name!r} has vectors of {shape[1]} numbers, not of {wrong}.")
    elif shape[1] is not None and longest > shape[1]:
        raise ValueError(f"A row of {name!r} has {longest} values; it takes at most {shape[1]}.")
    return padded(rows, width if shape[1] is None else shape[1], name, given)


def padded(
    rows: Sequence[Sequence[Any]], width: int, name: str, given: Mapping[str, Any]
) -> np.ndarray:
    """Returns rows that are filled up at their end.

    Args:
        rows: Values of the input's type.
        width: How long to make them; longer ones are not cut, and all become as long.
        name: The input's name.
        given: What the server says of it, and the manifest, if that is at hand.

    Raises:
        ValueError: If rows differ in length, and nothing is known to fill them with.
    """
    width = max([width, *map(len, rows)])
    missing = missing_value(name, given)
    if missing is None and any(len(row) < width for row in rows):
        raise ValueError(
            f"Rows of {name!r} differ in length, and only the manifest says what integers are "
            "filled up with: give the Client `export`."
        )
    flat = itertools.chain.from_iterable([*row, *[missing] * (width - len(row))] for row in rows)
    return _array(list(flat), given["dtype"]).reshape(len(rows), width)


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
        # As in the data room, a time without a zone is one of UTC.
        aware = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        return int(aware.timestamp() // 1)
    return int(parse_id(value, True, f"a value of {name!r}", "values"))


def _text(value: Any, name: str) -> str:
    # pandas makes numbers with a missing one among them floats.
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    text = str(parse_id(whole, False, name, name))
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
