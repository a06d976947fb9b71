"""Negatives drawn by popularity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfrecs._keras import tf
from tfrecs.configured import registered
from tfrecs.data import Split
from tfrecs.layers.integers import Integers
from tfrecs.negatives.complement import entries, pack
from tfrecs.negatives.known import KnownItems
from tfrecs.negatives.sample import Negatives, per_item

# Probabilities are multiples of 1 / _TOTAL, so draws and logarithms are exact.
_BITS = 30
_TOTAL = 2**_BITS


@registered
class Popularity(Negatives):
    """Draws negatives with a probability that grows with how often an item stands in the log.

        q_i = (count_i + smoothing)^alpha / sum_j (count_j + smoothing)^alpha

    as Mikolov et al. (NeurIPS 2013) do with words, and alpha = 0.75; alpha = 0 is uniform and 1
    the share of the log. A draw is one look-up by the alias method (Walker, 1977). Probabilities
    are rounded to multiples of 2^-30, at least one for each item; what is drawn and what
    `log_probability` says are the same.

    With `known`, own negatives (`shared=False`) are drawn by popularity from the items that the
    user does not know, at the price of two more look-ups. Shared ones are masked, see `Negatives`.

    Args:
        num_negatives: Negatives to draw, k.
        counts: `[n]`, how often the log has each item 1..n; or the number n, where the weights will
            be loaded (configs store only n). `from_split` counts them.
        alpha: Power of the counts.
        smoothing: Added to each count.
        shared: Whether all positives of the batch share them, or each gets its own.
        seed: Integer, or None to draw one from Python's `random`.
        known: The items that each user knows, which are left out; None to leave out nothing.

    Raises:
        ValueError: If a count or `smoothing` is negative, all are 0, or `counts` and `known`
            disagree on the number of items.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> negatives = tfrecs.negatives.Popularity(4, [8, 1], alpha=2.0, smoothing=1.0, seed=1)
        >>> sample = negatives(tf.constant([1, 2]), num_items=2)
        >>> [round(float(q), 3) for q in tf.exp(sample.positive_log_probability)]  # 81 : 4
        [0.953, 0.047]
    """

    data_arguments = ("counts",)

    def __init__(
        self,
        num_negatives: int,
        counts: Sequence[int] | np.ndarray | int | None = None,
        alpha: float = 0.75,
        smoothing: float = 0.0,
        shared: bool = True,
        seed: int | None = None,
        known: KnownItems | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_negatives, shared, seed, known, **kwargs)
        if counts is None:
            raise ValueError("Popularity needs counts; Popularity.from_split counts a split.")
        given = np.ones(counts) if isinstance(counts, int) else np.asarray(counts, np.float64)
        if given.ndim != 1 or (given < 0).any() or smoothing < 0 or not (given + smoothing).any():
            raise ValueError(
                "counts must say how often the log has each item 1..n: a vector of numbers that, "
                f"like smoothing, are not negative and not all 0, not {counts!r} and {smoothing!r}."
            )
        self.num_items = len(given)
        self.remember(counts=self.num_items)
        if self.known is not None and self.known.num_items != self.num_items:
            raise ValueError(
                f"Popularity: counts are of {self.num_items} items, the known items of "
                f"{self.known.num_items}."
            )
        mass = _masses(given + smoothing, alpha)
        self._until_item = Integers(self, "until_item", mass)
        self._unknown = self.without_known(mass)
        if self._unknown is not None:
            self._guide = Integers(self, "guide", guide_table(mass, _BITS))
        else:
            slots, shift = _alias(mass)
            self._slots = Integers(self, "slots", slots)
            # It follows from the counts, which a config lacks: so it is a weight too.
            self._shift = Integers(self, "shift", shift)

    def check(self, num_items: int, user_ids: tf.Tensor | None) -> None:
        """Raises a ValueError for a call with another number of items, or without users."""
        if num_items != self.num_items:
            raise ValueError(
                f"{self.name}: counts are of {self.num_items} items and the model has {num_items}: "
                "make it by Popularity.from_split, of the split that the model is trained on."
            )
        Negatives.check(self, num_items, user_ids)

    @classmethod
    def from_split(cls, split: Split, num_negatives: int, **kwargs: Any) -> Popularity:
        """Returns a sampler by the popularity in a split's training part.

        Args:
            split: What the model is trained on.
            num_negatives: Negatives to draw, k.
            **kwargs: Other arguments of the sampler.
        """
        return cls(num_negatives, split.train.item_counts[1:-1], **kwargs)

    def draw(
        self, seed: tf.Tensor, positives: tf.Tensor, num_items: int, user_ids: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns ids and which of them are allowed; see `Negatives`."""
        if self._unknown is not None:
            number = self._unknown(self.known.rows(user_ids), self.num_negatives, seed)
            return find(self._until_item.tensor(), self._guide.tensor(), _BITS, number), None
        shape = [self.num_negatives]
        if not self.shared:
            shape = [tf.size(positives), self.num_negatives]
        bits = tf.random.stateless_uniform(shape, seed, None, None, dtype=tf.uint32)
        number = tf.cast(tf.bitwise.right_shift(bits, tf.constant(2, tf.uint32)), tf.int32)
        slot = tf.bitwise.right_shift(number, self._shift.tensor())
        until, first, second = entries(self._slots.tensor(), slot)
        ids = tf.where(number < until, first, second)
        return ids, self.unknown(user_ids, ids)

    def log_probability(
        self, ids: tf.Tensor, positives: tf.Tensor, num_items: int, user_ids: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns the log of the probability of each of `ids`; see `Negatives`."""
        until_item = self._until_item.tensor()
        mass = tf.gather(until_item, ids) - tf.gather(until_item, ids - 1)
        total = tf.fill([1], _TOTAL)
        if self._unknown is not None:
            total = per_item(self._unknown.sizes(self.known.rows(user_ids)), ids)
        return tf.math.log(tf.cast(mass, tf.float32)) - tf.math.log(tf.cast(total, tf.float32))


def _masses(counts: np.ndarray, alpha: float) -> np.ndarray:
    """Returns int64 `[n + 1]`: item i has the numbers from `[i - 1]` to below `[i]`, of 2^30."""
    positive = np.where(counts > 0, counts, 1.0)
    weight = np.where(counts > 0, (positive / positive.max()) ** alpha, 0.0)
    # Two at least before rounding, so that no item ends without any.
    weight = np.maximum(weight / weight.sum(), 2 / _TOTAL)
    mass = np.round(np.cumsum(weight) / weight.sum() * _TOTAL).astype(np.int64)
    return np.concatenate([[0], mass])


def _alias(mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns slots of (until, first item, second item), and how many numbers a slot has, as log2.

    Number x is in slot `x >> shift`, and the first item's if `x < until`. `[2 n, 3]`, which is
    always enough.
    """
    table, rows = pack(mass[:-1], np.diff(mass), np.array([0, len(mass) - 1]))
    shift = rows[0, 1]
    base = np.arange(len(table), dtype=np.int64) << int(shift)
    until = table[:, 0].astype(np.int64)
    numbers = np.stack([base + table[:, 1], until + table[:, 2]], 1)
    slots = np.zeros((2 * (len(mass) - 1), 3), np.int32)
    slots[: len(table), 0] = until
    # Where no number reaches the second item, any item will do.
    slots[: len(table), 1:] = np.clip(np.searchsorted(mass, numbers, "right"), 1, len(mass) - 1)
    return slots, shift


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


def find(ends: tf.Tensor, table: tf.Tensor, bits: int, numbers: tf.Tensor) -> tf.Tensor:
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
