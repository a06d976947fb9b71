"""What attention knows of positions: learned biases of distances, and rotations."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, check_integer, registered


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
