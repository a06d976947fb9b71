"""Dropout whose masks follow from a seed and a checkpointed step: training resumes bit for bit."""

from __future__ import annotations

import random
from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, registered

# Between the seeds of replicas: far from the seeds of other layers, in the 32 bits that XLA reads.
_REPLICA_STRIDE = 1_640_531_527


@registered
class StepCounter(Configured, keras.layers.Layer):
    """Counts its calls in a checkpointed variable and turns the count into stateless random seeds.

    Keras keeps the state of its random generators out of checkpoints, so a resumed run draws other
    masks and other negatives than the uninterrupted one. Everything random in training draws from
    here.

    Args:
        seed: Integer, or None to draw one from Python's `random` (which
            `keras.utils.set_random_seed` seeds).

    Example:
        >>> import tfrecs
        >>> counter = tfrecs.layers.StepCounter(seed=7)
        >>> counter.next_seed().numpy().tolist(), counter.next_seed().numpy().tolist()
        ([7, 0], [7, 1])
    """

    def __init__(self, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._drawn = random.randrange(2**31) if seed is None else int(seed)
        self.step = self.add_weight(
            name="step",
            shape=(),
            dtype=tf.int64,
            initializer="zeros",
            trainable=False,
            # Every replica counts every step for itself, which needs no communication.
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def next_seed(self, per_replica: bool = False) -> tf.Tensor:
        """Returns the `[2]` int64 seed of this call, and counts the call.

        Args:
            per_replica: Whether the replicas of a `tf.distribute` strategy get different seeds.
        """
        step = tf.identity(self.step)
        self.step.assign_add(tf.ones((), tf.int64))
        replica = tf.distribute.get_replica_context()
        seed = tf.constant(self._drawn, tf.int64)
        if per_replica and replica is not None and replica.num_replicas_in_sync > 1:
            seed += tf.cast(replica.replica_id_in_sync_group, tf.int64) * _REPLICA_STRIDE
        return tf.stack([seed, step])

    def uniform(self, shape: Any) -> tf.Tensor:
        """Returns multiples of 2^-24 from [0, 1), float32 of `shape`, and counts the call.

        The replicas of a `tf.distribute` strategy draw differently.

        Args:
            shape: Of the result.

        Example:
            >>> import tensorflow as tf, tfrecs
            >>> draws = tfrecs.layers.StepCounter(seed=7).uniform([10_000])
            >>> round(float(tf.reduce_mean(draws)), 2)
            0.5
        """
        bits = tf.bitwise.right_shift(random_bits(shape, self.next_seed(per_replica=True)), 8)
        return tf.cast(bits, tf.float32) / 2**24


def random_bits(shape: Any, seed: tf.Tensor) -> tf.Tensor:
    """Returns random uint32; floats would differ between XLA and TensorFlow."""
    return tf.random.stateless_uniform(shape, seed, minval=None, maxval=None, dtype=tf.uint32)


@registered
class Dropout(Configured, keras.layers.Layer):
    """Dropout (Srivastava et al., 2014) with masks that a checkpoint restores.

    In training, each element is zeroed with probability `rate` and the others are divided by
    `1 - rate`; otherwise the input passes unchanged. Same use as `keras.layers.Dropout`; unlike it,
    the mask is a function of the seed and of the number of calls so far, which is a weight. Sixteen
    random bits decide an element, so the true rate is `rate` rounded to a multiple of 2^-16.

    Args:
        rate: Probability of dropping, in [0, 1).
        seed: Integer, or None to draw one from Python's `random`.

    Raises:
        ValueError: If `rate` is not in [0, 1).

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> layer = tfrecs.layers.Dropout(0.5, seed=1)
        >>> float(tf.reduce_max(layer(tf.ones([4, 8]), training=True)))
        2.0
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"Dropout's rate must be in [0, 1), not {rate!r}.")
        self._threshold = round(rate * 2**16)
        self.counter = StepCounter(seed, name="counter") if self._threshold else None
        self.supports_masking = True

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Drops elements of `inputs`, a float tensor of any shape, when `training`."""
        if not training or self.counter is None:
            return inputs
        seed, size = self.counter.next_seed(per_replica=True), tf.size(inputs)
        # Random bits are what dropout costs: two decisions from each 32-bit word halve it.
        words = random_bits([(size + 1) // 2], seed)
        bits = tf.reshape(tf.bitcast(words, tf.uint16), [-1])[:size]
        keep = tf.reshape(tf.cast(bits, tf.int32) >= self._threshold, tf.shape(inputs))
        scale = tf.cast(1 / (1 - self._threshold / 2**16), inputs.dtype)
        return inputs * tf.where(keep, scale, tf.zeros((), inputs.dtype))
