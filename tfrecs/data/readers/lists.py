"""Lists that are written as text, as pandas, numpy and JSON write them."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

_QUOTED = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'"
_ITEM = re.compile(rf"\s*({_QUOTED}|[^,\[\]\"']*)\s*")
_ITEMS_WITHOUT_COMMAS = re.compile(rf"({_QUOTED}|[^\s,\[\]\"']+)\s*")
_NOTHING = frozenset(("", "None", "nan", "NaN", "null"))


def with_lists(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame in which columns of texts such as "[1, 2]" and "['a', 'b']" hold lists.

    A column becomes lists where every value reads as one; lists of lists stay texts.

    Args:
        frame: the frame, whose columns may be replaced.
    """
    for name in frame.columns:
        column = frame[name]
        if not isinstance(column.dtype, pd.StringDtype) and column.dtype != object:
            continue
        present = column.dropna()
        if not len(present) or not str(present.iloc[0]).startswith("["):
            continue
        lists = {text: parse_list(text) for text in pd.unique(present)}
        if None in lists.values():
            continue
        values = [lists[x] if isinstance(x, str) else None for x in column.astype(object)]
        frame[name] = pd.Series(values, index=frame.index, dtype=object)
    return frame


def parse_list(text: Any) -> list[Any] | None:
    """The values in a text such as "[1, 2]", "['a' 'b']" or "[a, b c]"; None if it is no list.

    Example:
        >>> parse_list("[1, 2.5, None]"), parse_list("['a, b' 'c']"), parse_list("[[1]]")
        ([1, 2.5, None], ['a, b', 'c'], None)
    """
    if not isinstance(text, str):
        return None
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    inside = text[1:-1].strip()
    if not inside:
        return []
    if re.sub(_QUOTED, "", inside).count(","):
        pattern, between = _ITEM, ","
    else:
        pattern, between = _ITEMS_WITHOUT_COMMAS, ""
    values, place = [], 0
    while place < len(inside):
        found = pattern.match(inside, place)
        if found is None or found.end() == place:
            return None
        values.append(_value(found[1].strip()))
        place = found.end()
        if between and place < len(inside):
            if inside[place] != between:
                return None
            place += 1
    words = any(isinstance(value, str) for value in values)
    if not between and words and not inside.startswith(('"', "'")):
        return [inside]  # One value of several words.
    return values


def _value(token: str) -> Any:
    if token[:1] in ('"', "'"):
        return re.sub(r"\\(.)", r"\1", token[1:-1])
    if token in _NOTHING:
        return None
    for number in (int, float):
        try:
            return number(token)
        except ValueError:
            continue
    return token
