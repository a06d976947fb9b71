"""Conditions on rows, such as `quantity > 0 and rating >= 4`: parsed, never run as Python."""

from __future__ import annotations

import operator
import re
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tfrecs.data.log.times import looks_like_times, parse_times

_TOKEN = re.compile(
    r"\s*(?:(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|`(?P<quoted>[^`]+)`|(?P<word>[^\W\d]\w*)|(?P<mark>==|!=|<=|>=|<|>|\(|\)|,))"
)
_COMPARISONS = {
    "==": operator.eq,
    "!=": operator.ne,
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_WORDS = ("and", "or", "not", "in")
_LONGEST = 10_000
_DEEPEST = 50
# Share of a column compared with a number that may be no number: such values are missing.
_MOST_UNREADABLE = 0.01


def rows_where(frame: pd.DataFrame, condition: str, argument: str = "where") -> np.ndarray:
    """Returns which rows of a table meet a condition, bool `[rows]`.

    A comparison is a column, one of `== != < <= > >=`, and a number or a text in quotes; or
    `column in (value, value)`. Comparisons are joined by `and`, `or`, `not` and parentheses. A
    column whose name is no word stands in backticks. A text compared with a column of times is read
    as a time. A missing value fits no comparison, nor what `not` makes of it, as in SQL.

    Args:
        frame: The table.
        condition: The condition.
        argument: The name of the argument that gave it, for errors.

    Raises:
        ValueError: If the condition cannot be read, with the place; if there is no such column; or
            if a number is compared with a text.

    Example:
        >>> frame = pd.DataFrame({"quantity": [2, -1, 3], "kind": ["buy", "buy", "view"]})
        >>> rows_where(frame, "quantity > 0 and kind == 'buy'").tolist()
        [True, False, False]
    """
    if not isinstance(condition, str):
        raise ValueError(
            f'{argument} is a condition in a text, such as "rating <= 2", not '
            f"{type(condition).__name__}."
        )
    if len(condition) > _LONGEST:
        raise ValueError(
            f"{argument}= has {len(condition):,} characters; at most {_LONGEST:,} are read."
        )
    parser = _Parser(frame, condition, argument)
    fits = parser.any_of(0).true
    if parser.kind is not None:
        raise parser.error("'and', 'or' or the end is expected")
    return fits


class _Judged(NamedTuple):
    """Which rows fit and which do not, bool `[rows]` each; a missing value does neither."""

    true: np.ndarray
    false: np.ndarray

    def __or__(self, other: _Judged) -> _Judged:
        return _Judged(self.true | other.true, self.false & other.false)

    def __and__(self, other: _Judged) -> _Judged:
        return _Judged(self.true & other.true, self.false | other.false)

    def __invert__(self) -> _Judged:
        return _Judged(self.false, self.true)


class _Parser:
    """Reads a condition from left to right, and judges the rows as it goes."""

    def __init__(self, frame: pd.DataFrame, condition: str, argument: str) -> None:
        self._frame, self._condition, self._argument = frame, condition, argument
        self._end = 0
        self.advance()

    @property
    def _given(self) -> str:
        return f"{self._argument}={self._condition[:200]!r}"

    def advance(self) -> None:
        """Reads the next token."""
        self._start = self._end
        if not self._condition[self._end :].strip():
            self.kind, self.value = None, ""
            return
        found = _TOKEN.match(self._condition, self._end)
        if found is None:
            self.kind, self.value = None, ""
            raise self.error("this cannot be read")
        self.kind = found.lastgroup
        self.value = found[self.kind or 0]
        if self.kind == "word" and self.value.lower() in _WORDS:
            self.kind, self.value = "mark", self.value.lower()
        self._end = found.end()

    def error(self, what: str) -> ValueError:
        """Returns an error at the token that was read last."""
        rest = self._condition[self._start :].strip()[:40]
        place = f"at {rest!r}" if rest else "at its end"
        return ValueError(
            f"{self._given}: {what} {place} (character {self._start + 1}). "
            "A condition reads: quantity > 0 and kind in ('buy', 'cart')."
        )

    def take(self, mark: str) -> bool:
        """Skips the next token and returns True if it is this mark."""
        if self.kind == "mark" and self.value == mark:
            self.advance()
            return True
        return False

    def any_of(self, depth: int) -> _Judged:
        """Reads parts joined by `or`."""
        kept = self.all_of(depth)
        while self.take("or"):
            kept = kept | self.all_of(depth)
        return kept

    def all_of(self, depth: int) -> _Judged:
        """Reads parts joined by `and`."""
        kept = self.one(depth)
        while self.take("and"):
            kept = kept & self.one(depth)
        return kept

    def one(self, depth: int) -> _Judged:
        """Reads a comparison, or a condition in parentheses or after `not`."""
        if depth > _DEEPEST:
            raise self.error(f"more than {_DEEPEST} levels of parentheses are not read,")
        if self.take("not"):
            return ~self.one(depth + 1)
        if self.take("("):
            kept = self.any_of(depth + 1)
            if not self.take(")"):
                raise self.error("')' is expected")
            return kept
        return self.comparison()

    def comparison(self) -> _Judged:
        """Reads a column and the value or values to compare it with."""
        if self.kind not in ("word", "quoted"):
            raise self.error("a column is expected")
        if self.value not in self._frame.columns:
            known = ", ".join(map(repr, map(str, self._frame.columns)))
            raise ValueError(f"{self._given}: there is no column {self.value!r}, only {known}.")
        column = self._frame[self.value]
        self.advance()
        negated = self.take("not")
        if self.take("in"):
            if not self.take("("):
                raise self.error("'(' is expected")
            kept = self.compare(column, "==")
            while self.take(","):
                kept = kept | self.compare(column, "==")
            if not self.take(")"):
                raise self.error("',' or ')' is expected")
            return ~kept if negated else kept
        if negated or self.kind != "mark" or self.value not in _COMPARISONS:
            raise self.error(f"{', '.join(_COMPARISONS)} or 'in' is expected")
        mark = self.value
        self.advance()
        return self.compare(column, mark)

    def compare(self, column: pd.Series, mark: str) -> _Judged:
        """Reads a value and returns which rows of a column compare with it so."""
        if self.kind not in ("number", "text"):
            raise self.error("a number, or a text in quotes, is expected")
        is_number = self.kind == "number"
        value: Any = self.value[1:-1]
        if is_number:
            value = int(self.value) if self.value.lstrip("-").isdigit() else float(self.value)
        values, wanted, fits = self._comparable(column, value, is_number)
        self.advance()
        with np.errstate(invalid="ignore"):
            kept = _COMPARISONS[mark](values, wanted)
        kept = np.asarray(kept, bool)
        return _Judged(kept & fits, ~kept & fits)

    def _comparable(self, column: pd.Series, value: Any, is_number: bool) -> Any:
        """Returns a column and a value of one kind, and where the column has one."""
        present = column.notna().to_numpy(bool)
        if is_number:
            given = pd.to_numeric(column[present].astype(object), errors="coerce").to_numpy()
            if given.dtype.kind not in "iu":  # A float64 cannot hold whole numbers of 64 bits.
                given = given.astype(np.float64)
            read = ~np.isnan(given)
            if len(read) and (~read).mean() > _MOST_UNREADABLE:
                if not read.any():
                    raise self.error(
                        f"column {column.name!r} holds texts: put the value in quotes,"
                    )
                text = str(column[present].array[int((~read).argmax())])[:40]
                raise self.error(
                    f"column {column.name!r} has {(~read).sum():,} values that are no numbers, "
                    f"such as {text!r}: mend them,"
                )
            numbers = np.zeros(len(column), given.dtype)
            numbers[present] = given
            fits = present.copy()
            fits[present] = read
            return numbers, value, fits
        if column.dtype.kind in "iuf":
            raise self.error(f"column {column.name!r} holds numbers: leave the quotes out,")
        if looks_like_times(column):
            wanted, wrong = parse_times([value])
            if not wrong[0]:
                times, invalid = parse_times(column)
                return times, wanted[0], ~invalid
        return column.astype(object).map(str).to_numpy(object), value, present
