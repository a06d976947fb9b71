"""Uniform draws from a range with holes, which differ by row, in one look-up a draw."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.layers.integers import Integers


def pack(
    starts: np.ndarray, lengths: np.ndarray, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Packs the runs of numbers of each row into slots of equal width, at most two to a slot.

    This is the alias method (Walker, 1977; Vose, 1991) in whole numbers: the slots of a row are as
    wide as a power of two, and one comparison tells which number r of a slot stands for. All
    rows are packed at once, by prefix sums (Hübschle-Schneider and Sanders, 2022): a slot that a
    run does not fill takes the rest from the first longer run that has something to give.

    Args:
        starts: int64 [R], where each run begins.
        lengths: int64 [R], how many numbers each has: at least one.
        offsets: int64 [rows + 1], which runs are a row's: at least one.

    Returns:
        The slots of all rows, int32 [S, 3]: `until`, `first`, `second`. For r in a row's slot
        `r >> shift` the number is `r + first` if `r < until`, else `r + second`. And the rows,
        int32 [rows, 3]: how many numbers a row has, `shift`, and its first slot.
    """
    counts = np.diff(offsets)
    sizes = np.add.reduceat(lengths, offsets[:-1])
    shifts = np.log2(sizes // counts).astype(np.int64)
    widths = 1 << shifts
    slots = -(-sizes // widths)
    first_slot = np.cumsum(slots) - slots
    missing = slots * widths - sizes

    # Pads each row with empty runs to its number of slots; one of them stands for what is missing.
    fill = slots - counts
    row = np.concatenate([np.repeat(np.arange(len(slots)), n) for n in (fill, counts)])
    start = np.concatenate([np.zeros(fill.sum(), np.int64), starts])
    length = np.concatenate([np.zeros(fill.sum(), np.int64), lengths])
    stopgap = np.zeros(len(row), bool)
    at = (np.cumsum(fill) - fill)[missing > 0]
    stopgap[at], length[at] = True, missing[missing > 0]
    width = widths[row]
    heavy = length > width
    # In a row: the stopgap, other runs that fill no slot, longer runs.
    order = np.lexsort((np.where(stopgap, 0, np.where(heavy, 2, 1)), row))
    row, start, length, width = row[order], start[order], length[order], width[order]
    stopgap, heavy = stopgap[order], heavy[order]
    # The stopgap lies in the last slot, at its end, where no r reaches it.
    number = np.arange(len(row)) - first_slot[row] - (missing > 0)[row]
    number[stopgap] += slots[row[stopgap]]
    base = number * width

    light = ~heavy
    need, give = (width - length)[light], (length - width)[heavy]
    needed, given = np.cumsum(need), np.cumsum(give)
    kept, second = length.copy(), start.copy()
    first = start.copy()
    if heavy.any():
        long_start, long_length = start[heavy], length[heavy]
        giver = np.minimum(np.searchsorted(given, needed - need, "right"), len(given) - 1)
        second[light] = long_start[giver] + (needed - need) - (given - give)[giver]
        # A long run ends in its own slot, and what that lacks comes from the next long run.
        last = needed[np.searchsorted(needed, given, "left")]
        kept[heavy] = width[heavy] + given - last
        first[heavy] = long_start + long_length - kept[heavy]
        second[heavy] = np.append(long_start[1:], 0)
    first = np.where(stopgap, second, first)
    kept = np.where(stopgap, width, kept)
    table = np.empty((len(row), 3), np.int32)
    columns = (base + kept, first - base, second - base - kept)
    table[first_slot[row] + number] = np.stack(columns, 1)
    return table, np.stack([sizes, shifts, first_slot], 1).astype(np.int32)


class Complement(keras.layers.Layer):
    """Draws uniformly from 0..total-1 without the holes of a row, exactly.

    What is left between the holes is packed once (see `pack`); a draw is a random number, a
    multiplication and one look-up, however many holes there are. A row without anything left is
    taken as one without holes.

    Args:
        num_rows: Number of rows.
        num_holes: Number of holes of all rows together.
    """

    def __init__(self, num_rows: int, num_holes: int, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.num_rows = num_rows
        self.num_holes = num_holes
        # A row of R runs has at most 2 R slots, and at most one run more than holes.
        self._table = Integers(self, "table", np.zeros([2 * (num_holes + num_rows), 3]))
        self._rows = Integers(self, "rows", np.zeros([num_rows, 3]))

    def leave_out(
        self, starts: np.ndarray, stops: np.ndarray, offsets: np.ndarray, total: int
    ) -> None:
        """Sets the holes.

        Args:
            starts: int64 [N], where each hole begins; in a row in rising order.
            stops: int64 [N], where it ends: the number after its last.
            offsets: int64 [num_rows + 1], which holes are a row's.
            total: How many numbers there are, below 2^31.
        """
        size = len(starts) + len(offsets) - 1
        first = offsets[:-1] + np.arange(len(offsets) - 1)
        last = offsets[1:] + np.arange(len(offsets) - 1)
        begin, end = np.zeros(size, np.int64), np.full(size, total, np.int64)
        begin[np.delete(np.arange(size), first)] = stops
        end[np.delete(np.arange(size), last)] = starts
        nothing_left = first[np.add.reduceat(end - begin, first) == 0]
        begin[nothing_left], end[nothing_left] = 0, total
        runs = end > begin
        table, rows = pack(
            begin[runs],
            (end - begin)[runs],
            np.concatenate([[0], np.cumsum(np.add.reduceat(runs.astype(np.int64), first))]),
        )
        filled = np.zeros(self._table.shape, np.int32)
        filled[: len(table)] = table
        self._table.assign(filled)
        self._rows.assign(rows)

    def sizes(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns how many numbers are left in `rows`, int32 of their shape."""
        return tf.gather(self._rows.tensor(), rows)[..., 0]

    def call(self, rows: tf.Tensor, count: int, seed: tf.Tensor) -> tf.Tensor:
        """Draws `count` numbers for each of the `rows`, `[b]`: int32 `[b, count]`."""
        packed = tf.gather(self._rows.tensor(), rows)[:, tf.newaxis]
        size, shift, first_slot = tf.unstack(packed, axis=-1)
        # In float64, which costs half of whole numbers: there are no vector instructions for their
        # shifts and products. Division by a power of two rounds nothing, so r and slot agree.
        width = tf.cast(tf.bitwise.left_shift(tf.ones_like(shift), shift), tf.float64)
        number = _below(size, [tf.size(rows), count], seed)
        slot = tf.floor(number * (1 / width)) + tf.cast(first_slot, tf.float64)
        until, first, second = entries(self._table.tensor(), tf.cast(slot, tf.int32))
        r = tf.cast(number, tf.int32)
        return r + tf.where(r < until, first, second)


def entries(table: tf.Tensor, rows: tf.Tensor) -> list[tf.Tensor]:
    """Returns the columns of the `rows` of a table, each of the shape of `rows`."""
    # For short rows `gather_nd` is twice as fast as `gather`; XLA knows it of tensors alone.
    found = tf.gather_nd(table, rows[..., tf.newaxis])
    return tf.unstack(found, axis=-1)


def second_seed(seed: tf.Tensor) -> tf.Tensor:
    """Returns another seed for the same step, as a counter with another seed would."""
    # Not by the upper half of the number, which XLA does not read.
    return tf.bitwise.bitwise_xor(seed, tf.constant([0x55555555, 0], tf.int64))


def random_below(limit: tf.Tensor, shape: Any, seed: tf.Tensor) -> tf.Tensor:
    """Returns random int32 in 0..limit-1; `limit` int32, of any shape that broadcasts to `shape`.

    The whole part of `limit` times a random multiple of 2^-32: probabilities differ by less than
    limit / 2^32 of themselves.
    """
    return tf.cast(_below(limit, shape, seed), tf.int32)


def _below(limit: tf.Tensor, shape: Any, seed: tf.Tensor) -> tf.Tensor:
    """Returns random float64 numbers from 0 to below `limit`."""
    bits = tf.random.stateless_uniform(shape, seed, None, None, dtype=tf.uint32)
    return tf.cast(bits, tf.float64) * (tf.cast(limit, tf.float64) * 2.0**-32)
