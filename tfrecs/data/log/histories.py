"""Rows of ids of different lengths, and draws from the ids that they lack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np


class Histories:
    """Ragged rows of ids, oldest first, in compressed sparse row form.

    Row i is `values[offsets[i]:offsets[i + 1]]`: numpy takes, cuts and pads millions of rows.

    Args:
        values: `[N]` int32, all rows one after another.
        offsets: `[U + 1]` int64, rising from 0 to N.
        places: `[N]`, the row of a log that each value comes from; None where that plays no part.
            `take`, `cut`, `keep` and `distinct` carry it along.

    Raises:
        ValueError: If the offsets do not describe the values, or there are not as many places.

    Example:
        >>> h = Histories.from_lists([[5, 6, 7], [], [8]])
        >>> h[0], len(h), h.lengths
        (array([5, 6, 7], dtype=int32), 3, array([3, 0, 1]))
        >>> h.padded([0, 2], length=2)
        array([[6, 7],
               [0, 8]], dtype=int32)
    """

    def __init__(
        self, values: np.ndarray, offsets: np.ndarray, places: np.ndarray | None = None
    ) -> None:
        self.values = np.ascontiguousarray(values, np.int32)
        self.offsets = np.ascontiguousarray(offsets, np.int64)
        self.places = None if places is None else np.ascontiguousarray(places)
        if self.values.ndim != 1 or self.offsets.ndim != 1 or not len(self.offsets):
            raise ValueError(
                "Histories: values [N] and offsets [U + 1] are 1-D and offsets hold at least a 0, "
                f"got shapes {self.values.shape} and {self.offsets.shape}."
            )
        if (
            self.offsets[0] != 0
            or self.offsets[-1] != len(self.values)
            or np.any(np.diff(self.offsets) < 0)
        ):
            raise ValueError(
                f"Histories: offsets must rise from 0 to the {len(self.values)} values, got "
                f"{self.offsets[0]} to {self.offsets[-1]}."
            )
        if self.places is not None and self.places.shape != self.values.shape:
            raise ValueError(
                f"Histories: {len(self.places)} places for {len(self.values)} values: each value "
                "needs one."
            )

    @classmethod
    def from_lists(cls, rows: Iterable[Sequence[int] | np.ndarray]) -> Histories:
        """Returns the histories of a list of rows."""
        arrays = [np.asarray(row, np.int32) for row in rows]
        values = np.concatenate([np.zeros(0, np.int32), *arrays])
        return cls(values, offsets_of([len(row) for row in arrays]))

    @classmethod
    def from_pairs(cls, rows: np.ndarray, ids: np.ndarray, num_rows: int) -> Histories:
        """Returns each row's distinct ids in rising order.

        Args:
            rows: `[N]` row of each id, 0 to num_rows - 1.
            ids: `[N]` ids, 0 or more.
            num_rows: Number of rows.

        Example:
            >>> Histories.from_pairs([1, 0, 1, 1], [7, 4, 3, 7], 3).values
            array([4, 3, 7], dtype=int32)
        """
        rows, ids = np.asarray(rows, np.int64), np.asarray(ids, np.int64)
        stride = int(ids.max(initial=0)) + 1
        pairs = np.unique(rows * stride + ids)
        offsets = np.searchsorted(pairs, np.arange(num_rows + 1) * stride)
        return cls(pairs % stride, offsets)

    @property
    def lengths(self) -> np.ndarray:
        """`[U]` int64, number of ids of each row."""
        return np.diff(self.offsets)

    @property
    def rows(self) -> np.ndarray:
        """`[N]` int64, row of each of `values`."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, rows: Sequence[int] | np.ndarray) -> Histories:
        """Returns the given rows, in the given order, or those that a bool array marks."""
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)
        rows = np.where(rows < 0, rows + len(self), rows)
        return self.cut(self.offsets[rows], self.offsets[rows + 1])

    def cut(self, starts: np.ndarray, stops: np.ndarray) -> Histories:
        """Returns new rows `values[starts[i]:stops[i]]`; no stop is before its start."""
        starts = np.asarray(starts, np.int64)
        offsets = offsets_of(np.asarray(stops, np.int64) - starts)
        shift = np.repeat(starts - offsets[:-1], np.diff(offsets))
        return self._of(np.arange(offsets[-1]) + shift, offsets)

    def keep(self, mask: np.ndarray) -> Histories:
        """Returns the same rows with only the values that a bool array `[N]` marks."""
        before = np.concatenate([[0], np.cumsum(mask)])
        return self._of(mask, before[self.offsets])

    def _of(self, which: np.ndarray, offsets: np.ndarray) -> Histories:
        """Returns rows of some of the values, with their places."""
        places = None if self.places is None else self.places[which]
        return Histories(self.values[which], offsets, places)

    def distinct(self) -> Histories:
        """Returns the same rows with only the first of equal ids in each."""
        if not len(self.values) or self.lengths.max() <= 1:
            return self
        keys = self.rows * (int(self.values.max()) + 1) + self.values
        first = np.zeros(len(keys), bool)
        first[np.unique(keys, return_index=True)[1]] = True
        return self.keep(first)

    def padded(self, rows: Sequence[int] | np.ndarray, length: int) -> np.ndarray:
        """Returns the last `length` ids of the given rows, padded with 0 on the left.

        The result is `[len(rows), length]` int32, with the most recent id in the last column.
        """
        position, inside = self.last_positions(rows, length)
        if not len(self.values):
            return np.zeros(position.shape, np.int32)
        return np.where(inside, self.values[position], 0).astype(np.int32)

    def last_positions(
        self, rows: Sequence[int] | np.ndarray, length: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns where among `values` the last `length` of the given rows are.

        Returns:
            `[len(rows), length]` int64, 0 for padding on the left; and bool, False for padding.
        """
        rows = np.asarray(rows, np.int64)
        position = self.offsets[rows + 1][:, None] - np.arange(length, 0, -1)
        inside = position >= self.offsets[rows][:, None]
        return np.where(inside, position, 0), inside

    def __getitem__(self, row: int) -> np.ndarray:
        if not -len(self) <= row < len(self):
            raise IndexError(f"Histories: row {row} of {len(self)}.")
        row = row % len(self)
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[row] for row in range(len(self)))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histories):
            return NotImplemented
        return np.array_equal(self.values, other.values) and np.array_equal(
            self.offsets, other.offsets
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Histories({len(self)} rows, {len(self.values)} ids)"


def offsets_of(lengths: Sequence[int] | np.ndarray) -> np.ndarray:
    """Returns the `[U + 1]` int64 offsets of rows of the given lengths."""
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def draw_unseen(seen: Sequence[Histories], num_items: int, n: int, seed: int) -> np.ndarray:
    """Draws n distinct ids of 1..num_items for each row, uniformly from those it has not seen.

    `seen` are histories of the same rows. The result is `[rows, n]` int32, with 0 at the end of
    rows that have fewer than n unseen ids.

    Example:
        >>> draw_unseen([Histories.from_lists([[1, 2], [3]])], num_items=4, n=3, seed=0)[0] > 2
        array([ True,  True, False])
    """
    if n < 1:
        raise ValueError(f"Candidates: n must be at least 1, not {n}.")
    rng = np.random.default_rng(seed)
    rows = len(seen[0])
    stride = num_items + 1
    # One number stands for a row and an item, so a sorted array is a set of both.
    taken = np.sort(np.concatenate([h.rows * stride + h.values for h in seen]))
    taken = taken[np.diff(taken, prepend=-1) > 0]
    left = num_items - np.bincount(taken // stride, minlength=rows)
    wanted = np.arange(n) < left[:, None]
    drawn = np.zeros((rows, n), np.int64)
    row, place = np.nonzero(wanted)
    while len(row):
        # Redrawing seen and repeated items keeps every set of unseen items equally likely.
        drawn[row, place] = rng.integers(1, num_items + 1, len(row))
        keys = np.where(wanted, np.arange(rows)[:, None] * stride + drawn, -1)
        order = np.argsort(keys, axis=1, kind="stable")
        ranked = np.take_along_axis(keys, order, axis=1)
        again = np.zeros((rows, n), bool)
        np.put_along_axis(again, order[:, 1:], ranked[:, 1:] == ranked[:, :-1], axis=1)
        row, place = np.nonzero((again | _contains(taken, keys)) & wanted)
    return drawn.astype(np.int32)


def _contains(ordered: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Returns which keys an ordered array holds."""
    if not len(ordered):
        return np.zeros(keys.shape, bool)
    found = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
    return ordered[found] == keys
