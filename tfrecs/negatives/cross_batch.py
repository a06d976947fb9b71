"""Negatives taken from the positives of this batch and of those before it."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import registered
from tfrecs.negatives.in_batch import check_frequency, contained
from tfrecs.negatives.known import KnownItems
from tfrecs.negatives.replicas import all_gather
from tfrecs.negatives.sample import Negatives, Sample, ScoresOf


@registered
class CrossBatch(Negatives):
    """Takes the k latest positives, of this batch and those before it, as shared negatives.

    Cross-batch negative sampling (Wang et al., "Cross-batch negative sampling for training
    two-tower recommenders", SIGIR 2021): as many negatives of the log's own distribution as
    memory allows, whatever the batch size. The paper's first-in, first-out memory holds item
    vectors, which are some steps old. This one holds ids, and the model computes their vectors
    anew: exact, and for item tables as cheap. An item tower computes k vectors a step.

    The memory is a weight, so checkpoints hold it; all replicas hold that of the whole batch. Until
    k positives were seen, the empty places are masked. `frequency` says how likely an item is, as
    for `InBatch`, and losses correct for it. With `training=False` nothing is remembered.

    Args:
        num_negatives: Positives to remember, k: more than a batch has. Of a larger batch the first
            k are taken.
        frequency: Says how likely a row of a batch is to hold an item; see `InBatch`.
        known: The items that each user knows, which are masked for this user.

    Raises:
        TypeError: If `num_negatives` is no integer, or `frequency` no layer of frequencies.
        ValueError: If `num_negatives` is less than 1, or a call lacks what `known` needs.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> negatives = tfrecs.negatives.CrossBatch(5)
        >>> _ = negatives(tf.constant([2, 1]), num_items=9)
        >>> negatives(tf.constant([7, 8]), num_items=9).ids.numpy().tolist()[:4]
        [7, 8, 2, 1]
    """

    num_negatives: int

    def __init__(
        self,
        num_negatives: int,
        frequency: keras.layers.Layer | None = None,
        known: KnownItems | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_negatives, True, 0, known, **kwargs)
        self.frequency = check_frequency(frequency)
        self._memory = self.add_weight(
            name="memory",
            shape=(num_negatives,),
            # Code that XLA compiles for a GPU cannot read int32 variables.
            dtype=tf.int64,
            initializer="zeros",
            trainable=False,
            # As in StepCounter: every replica writes its own copy, and the same into it.
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def call(
        self,
        positives: tf.Tensor,
        num_items: int,
        user_ids: tf.Tensor | None = None,
        scores: ScoresOf | None = None,
        training: bool | None = None,
    ) -> Sample:
        """Takes negatives from the batch and the memory; see `InBatch.call`."""
        self.check(num_items, user_ids)
        # `scores` may be a plain function, which has neither.
        positive_ids, valid = (getattr(scores, name, None) for name in ("positive_ids", "valid"))
        learns = training is not False
        if self.frequency is not None and learns:
            self.frequency.update(positives, *([] if valid is None else [valid]))
        rows = all_gather(positives)
        num_rows = tf.size(rows)
        if valid is not None:
            # Positions that only fill the batch up count as empty places.
            real = all_gather(tf.cast(valid, tf.int32))
            rows, num_rows = rows * tf.cast(real, rows.dtype), tf.reduce_sum(real)
        latest = tf.concat([rows, tf.cast(tf.identity(self._memory), rows.dtype)], axis=0)
        if valid is not None:
            latest = tf.gather(latest, tf.argsort(tf.cast(latest == 0, tf.int32), stable=True))
        latest = latest[: self.num_negatives]
        if learns:
            self._memory.assign(tf.cast(latest, tf.int64))
        ids = tf.maximum(latest, 1)
        allowed = tf.tile((latest > 0)[tf.newaxis], [tf.size(positives), 1])
        if self.known is not None:
            allowed &= self.unknown(user_ids, ids)
        if positive_ids is not None:
            allowed &= ~contained(ids, positive_ids)
        num_rows = tf.maximum(tf.cast(num_rows, tf.float32), 1.0)
        return Sample(
            ids,
            self.log_probability(ids, positives, num_items, user_ids),
            self.log_probability(positives, positives, num_items, user_ids),
            allowed,
            tf.math.count_nonzero(latest, dtype=tf.int32),
            tf.minimum(self.num_negatives / num_rows, 1.0),
        )

    def log_probability(
        self, ids: tf.Tensor, positives: tf.Tensor, num_items: int, user_ids: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns what `frequency` says of `ids`; see `Negatives`."""
        if self.frequency is not None:
            return self.frequency(ids)
        return tf.fill(tf.shape(ids), -tf.math.log(float(num_items)))
