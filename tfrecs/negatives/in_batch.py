"""Negatives taken from the positives of the batch."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import tf
from tfrecs.configured import registered
from tfrecs.negatives.frequency import ItemFrequency
from tfrecs.negatives.known import KnownItems
from tfrecs.negatives.replicas import all_gather
from tfrecs.negatives.sample import Negatives


@registered
class InBatch(Negatives):
    """Draws negatives from the positives of the batch, of all replicas; all positives share them.

    Each of the k draws gives the positive of one row, any of them with equal probability, so an
    item is drawn as often as the log has it: by popularity, as in `losses.InBatchSoftmax`, but for
    any loss and any model, and for as many negatives as one likes. What was drawn and equals a
    row's own positive is masked by the losses.

    Args:
        num_negatives: Negatives to draw, k.
        frequency: Says how likely a row of a batch is to hold an item: `ItemFrequency`,
            `StreamingFrequency` (which learns at each call) or a layer like them.
        seed: Integer, or None to draw one from Python's `random`.
        known: The items that each user knows, which are masked for this user.

    Raises:
        ValueError: If `num_negatives` is less than 1, or a call lacks what `known` needs.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> frequency = tfrecs.negatives.ItemFrequency([3, 1, 0, 0])
        >>> negatives = tfrecs.negatives.InBatch(5, frequency, seed=1)
        >>> sample = negatives(tf.constant([2, 2, 2]), num_items=4)
        >>> sample.ids.numpy().tolist(), round(float(tf.exp(sample.log_probability[0])), 2)
        ([2, 2, 2, 2, 2], 0.25)
    """

    def __init__(
        self,
        num_negatives: int,
        frequency: ItemFrequency | Any,
        seed: int | None = None,
        known: KnownItems | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_negatives, True, seed, known, **kwargs)
        self.frequency = frequency

    def draw(
        self, seed: tf.Tensor, positives: tf.Tensor, num_items: int, user_ids: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns ids and which of them are allowed; see `Negatives`."""
        everybodys = all_gather(positives)
        self.frequency.update(positives)
        rows = tf.random.stateless_uniform(
            [self.num_negatives], seed, 0, tf.maximum(tf.size(everybodys), 1), dtype=tf.int32
        )
        ids = tf.gather(everybodys, rows)
        return ids, self.unknown(user_ids, ids)

    def log_probability(
        self, ids: tf.Tensor, positives: tf.Tensor, num_items: int, user_ids: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns what `frequency` says of `ids`; see `Negatives`."""
        return self.frequency(ids)
