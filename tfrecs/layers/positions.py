"""What attention knows of positions and times: learned biases of distances, and rotations."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, check_integer, registered
from tfrecs.data.features.events import MISSING_TIME


@registered
class RelativePositionBias(Configured, keras.layers.Layer):
    """A learned number for each head and each distance between two positions.

    It is added to the attention scores, as in T5 (Raffel et al., JMLR 2020) and HSTU (Zhai et al.,
    ICML 2024). Distances of `max_distance` and more share one number.

    Args:
        num_heads: Attention heads.
        max_distance: Distances that have a number.

    Raises:
        ValueError: If an argument is less than 1.

    Example:
        >>> import tfrecs
        >>> tfrecs.layers.RelativePositionBias(num_heads=2, max_distance=50)(3, 5).shape
        TensorShape([2, 3, 5])
    """

    def __init__(self, num_heads: int = 1, max_distance: int = 50, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_integer("num_heads", num_heads, least=1)
        check_integer("max_distance", max_distance, least=1)
        # Distances -max_distance to max_distance: keys may lie behind queries too.
        self.table = self.add_weight(
            name="table", shape=(2 * max_distance + 1, num_heads), initializer="zeros"
        )

    def call(self, inputs: Any, keys: Any) -> tf.Tensor:
        """Returns the biases `[heads, queries, keys]`.

        Args:
            inputs: Number of queries, which are the last of the keys' positions.
            keys: Number of keys.
        """
        distance = tf.range(keys)[keys - inputs :, tf.newaxis] - tf.range(keys)
        place = tf.clip_by_value(distance, -self.max_distance, self.max_distance)
        biases = tf.gather(self.table, place + self.max_distance)
        return tf.transpose(tf.cast(biases, tf.float32), [2, 0, 1])


@registered
class TimeIntervalBias(Configured, keras.layers.Layer):
    """A learned number for each head and each size of the interval between two times.

    It is added to the attention scores, as in HSTU (Zhai et al., ICML 2024); TiSASRec (Li et al.,
    WSDM 2020) has vectors of intervals. Intervals of 2^i - 1 to 2^(i + 1) - 2 seconds share a
    number, whichever of the times is the later one. Intervals with a missing time share one too.

    Args:
        num_heads: Attention heads.
        num_buckets: Sizes of intervals that have a number; longer intervals share the last one. 32
            tell apart up to 68 years.

    Raises:
        ValueError: If an argument is less than 1.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> times = tf.constant([[0, 60, 3_600]], tf.int64)
        >>> tfrecs.layers.TimeIntervalBias(num_heads=2)(times[:, 1:], times).shape
        TensorShape([1, 2, 2, 3])
    """

    def __init__(self, num_heads: int = 1, num_buckets: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_integer("num_heads", num_heads, least=1)
        check_integer("num_buckets", num_buckets, least=1)
        self.table = self.add_weight(
            name="table", shape=(num_buckets + 1, num_heads), initializer="zeros"
        )

    def call(self, inputs: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        """Returns the biases `[batch, heads, queries, keys]`.

        Args:
            inputs: `[batch, queries]` int64, the times of the queries in seconds, `MISSING_TIME`
                where there is none.
            keys: `[batch, keys]` int64, those of the keys.
        """
        queries, keys = inputs[:, :, tf.newaxis], keys[:, tf.newaxis]
        known = (queries != MISSING_TIME) & (keys != MISSING_TIME)
        interval = tf.cast(tf.abs(queries - keys) + 1, tf.float32)
        # The exponent of a float is the logarithm, exact and the same on every device.
        power = tf.bitwise.right_shift(tf.bitcast(interval, tf.int32), 23) - 127
        bucket = tf.where(known, tf.clip_by_value(power, 0, self.num_buckets - 1) + 1, 0)
        biases = tf.gather(self.table, bucket)
        return tf.transpose(tf.cast(biases, tf.float32), [0, 3, 1, 2])


def rotated(x: tf.Tensor, length: Any) -> tf.Tensor:
    """Rotates vectors by their positions, so that products depend on distances alone.

    Rotary embedding (Su et al., "RoFormer", 2021): coordinates i and i + w / 2 turn by
    position * 10000^(-2 i / w).

    Args:
        x: `[..., positions, width]`, of even width.
        length: Number of all positions, of which x has the last ones.

    Raises:
        ValueError: If the width is odd.

    Example:
        >>> import tensorflow as tf
        >>> rotated(tf.ones([2, 1]) * [[1.0, 0.0]], 2).numpy().round(2)
        array([[1.  , 0.  ],
               [0.54, 0.84]], dtype=float32)
    """
    if x.shape[-1] % 2:
        raise ValueError(f'position "rotary" needs heads of even width, not of {x.shape[-1]}.')
    half = x.shape[-1] // 2
    rates = tf.constant(10_000.0 ** (-np.arange(half) / half), tf.float32)
    places = tf.cast(tf.range(length - tf.shape(x)[-2], length), tf.float32)
    angles = places[:, tf.newaxis] * rates
    cosine, sine = tf.cast(tf.cos(angles), x.dtype), tf.cast(tf.sin(angles), x.dtype)
    first, second = x[..., :half], x[..., half:]
    return tf.concat([first * cosine - second * sine, second * cosine + first * sine], axis=-1)
