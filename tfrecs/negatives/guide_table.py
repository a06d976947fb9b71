"""Which of many neighbouring intervals a number lies in, without a bisection of them all."""

from __future__ import annotations

import numpy as np

from tfrecs._keras import tf
from tfrecs.negatives.complement import entries

# With 16 cells an interval hardly any number is left to bisect. More than 2^20 cells, 8 MB, would
# cost more in the cache than the steps that they save.
_CELLS_AN_INTERVAL = 16
_MOST_BITS = 20


def guide_table(ends: np.ndarray, bits: int) -> np.ndarray:
    """Returns the first and the last interval of each cell, for `find`.

    The numbers below 2^bits are cut into cells of equal width, so that few intervals are left to
    search for a number of a cell (Chen and Asau, "On generating random variates from an empirical
    distribution", 1974).

    Args:
        ends: int64 `[n + 1]`, rising from 0 to 2^bits: interval i, of 1..n, has the numbers from
            `ends[i - 1]` to below `ends[i]`.
        bits: Log2 of how many numbers there are.

    Returns:
        int32 `[cells, 2]`, where `cells` follows from n alone.
    """
    wanted = int(np.ceil(np.log2(_CELLS_AN_INTERVAL * (len(ends) - 1))))
    shift = max(bits - min(wanted, _MOST_BITS), 0)
    begin = np.arange(1 << (bits - shift)) << shift
    numbers = np.stack([begin, begin + (1 << shift) - 1], 1)
    return np.searchsorted(ends, numbers, "right").astype(np.int32)


def find(ends: tf.Tensor, table: tf.Variable, bits: int, numbers: tf.Tensor) -> tf.Tensor:
    """Returns the interval of each number, by a bisection of those of its cell.

    Compiled by XLA, `tf.searchsorted` would compare everything with everything.

    Args:
        ends: int32 `[n + 1]`, as in `guide_table`.
        table: Of these ends.
        bits: As in `guide_table`.
        numbers: int32, 0 to below 2^bits.

    Returns:
        int32 of the shape of `numbers`, in 1..n.
    """
    shift = bits - (table.shape[0].bit_length() - 1)
    first, last = entries(table, tf.bitwise.right_shift(numbers, shift))

    def halve(first: tf.Tensor, last: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        middle = tf.bitwise.right_shift(first + last, 1)
        behind = tf.gather(ends, middle) <= numbers
        # Where one interval is left, it has the number: nothing lies behind it.
        return tf.where(behind, middle + 1, first), tf.where(behind, last, middle)

    return tf.while_loop(lambda *ends: tf.reduce_any(tf.less(*ends)), halve, (first, last))[0]
