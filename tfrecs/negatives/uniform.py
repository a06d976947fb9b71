"""Negatives drawn uniformly from the catalogue."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrecs._keras import tf
from tfrecs.configured import registered
from tfrecs.negatives.known import KnownItems
from tfrecs.negatives.sample import Negatives, per_item


@registered
class Uniform(Negatives):
    """Draws negatives uniformly, with replacement, from all items.

    With `known`, own negatives (`shared=False`) are drawn uniformly from the items that the user
    does not know, at the price of one look-up a draw. Shared ones are masked, see `Negatives`.

    Args:
        num_negatives: Negatives to draw, k.
        shared: Whether all positives of the batch share them (`[k]`), which makes their scores one
            matrix product, or each gets its own (`[num_positives, k]`), as in SASRec's paper.
        seed: Integer, or None to draw one from Python's `random`.
        known: The items that each user knows, which are left out; None to leave out nothing.

    Raises:
        ValueError: If `num_negatives` is less than 1, or a call lacks what `known` needs.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> sample = tfrecs.negatives.Uniform(4, seed=1)(tf.constant([2, 9]), num_items=10)
        >>> sample.ids.shape, round(float(tf.exp(sample.log_probability[0])), 3)
        (TensorShape([4]), 0.1)
    """

    def __init__(
        self,
        num_negatives: int,
        shared: bool = True,
        seed: int | None = None,
        known: KnownItems | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_negatives, shared, seed, known, **kwargs)
        self._unknown = None
        if self.known is not None:
            self._unknown = self.without_known(np.arange(self.known.num_items + 1))

    def draw(
        self, seed: tf.Tensor, positives: tf.Tensor, num_items: int, user_ids: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns ids and which of them are allowed; see `Negatives`."""
        if self._unknown is not None:
            rows = self.known.rows(user_ids)
            return self._unknown(rows, self.num_negatives, seed) + 1, None
        shape = [self.num_negatives]
        if not self.shared:
            shape = [tf.size(positives), self.num_negatives]
        ids = tf.random.stateless_uniform(shape, seed, 1, num_items + 1, dtype=tf.int32)
        return ids, self.unknown(user_ids, ids)

    def log_probability(
        self, ids: tf.Tensor, positives: tf.Tensor, num_items: int, user_ids: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns the log of the probability of each of `ids`; see `Negatives`."""
        if self._unknown is None:
            return tf.fill(tf.shape(ids), -tf.math.log(tf.cast(num_items, tf.float32)))
        left = tf.cast(self._unknown.sizes(self.known.rows(user_ids)), tf.float32)
        return tf.broadcast_to(per_item(-tf.math.log(left), ids), tf.shape(ids))
