"""Negatives drawn uniformly from the catalogue."""

from __future__ import annotations

from typing import Any, NamedTuple

from tfrecs._keras import keras, tf
from tfrecs.layers import StepCounter


class Sample(NamedTuple):
    """Negatives of a batch.

    Attributes:
        ids: Item ids 1..n: `[num_negatives]` where all positives share them, else
            `[num_positives, num_negatives]`.
        log_probability: Log of the probability that one draw gives this id, of the shape of `ids`.
        positive_log_probability: The same of the positives' ids, `[num_positives]`.
    """

    ids: tf.Tensor
    log_probability: tf.Tensor
    positive_log_probability: tf.Tensor


@keras.utils.register_keras_serializable("tfrecs")
class Uniform(keras.layers.Layer):
    """Draws negatives uniformly, with replacement, from all items; positives are not excluded.

    The losses mask a negative that equals its positive, which is the exclusion that matters.
    The draw is a function of the seed and of the number of draws so far, a checkpointed weight.
    Shared negatives are the same on all replicas of a `tf.distribute` strategy, so that a step on
    several devices equals the step on one; negatives of each positive differ.

    Args:
        num_negatives: Negatives to draw, k.
        shared: Whether all positives of the batch share them (`[k]`), which makes their scores one
            matrix product, or each gets its own (`[num_positives, k]`), as in SASRec's paper.
        seed: Integer, or None to draw one from Python's `random`.

    Raises:
        ValueError: If `num_negatives` is less than 1.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> sample = tfrecs.negatives.Uniform(4, seed=1)(tf.constant([2, 9]), num_items=10)
        >>> sample.ids.shape, round(float(tf.exp(sample.log_probability[0])), 3)
        (TensorShape([4]), 0.1)
    """

    def __init__(
        self, num_negatives: int, shared: bool = True, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if num_negatives < 1:
            raise ValueError(f"num_negatives must be at least 1, not {num_negatives}.")
        self.num_negatives = num_negatives
        self.shared = shared
        self.seed = seed
        self.counter = StepCounter(seed, name="counter")

    def call(self, positives: tf.Tensor, num_items: int) -> Sample:
        """Draws negatives for `positives`, `[num_positives]`, from the items 1..num_items."""
        shape = [self.num_negatives]
        if not self.shared:
            shape = [tf.size(positives), self.num_negatives]
        seed = self.counter.next_seed(per_replica=not self.shared)
        ids = tf.random.stateless_uniform(shape, seed, 1, num_items + 1, dtype=tf.int32)
        log_probability = -tf.math.log(tf.cast(num_items, tf.float32))
        return Sample(
            ids,
            tf.fill(tf.shape(ids), log_probability),
            tf.fill(tf.shape(positives), log_probability),
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = {"num_negatives": self.num_negatives, "shared": self.shared, "seed": self.seed}
        return {**super().get_config(), **config}
