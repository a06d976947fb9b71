"""Whole numbers among a layer's weights, such as item ids, that a compiled step can read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfrecs._keras import keras, tf


class Integers:
    """Int32 numbers of a layer that are saved with it and do not train.

    They are stored as uint32, with the same bits. TensorFlow keeps int32 variables in the host's
    memory, where code that XLA compiles for a GPU cannot read them.

    Args:
        layer: The layer whose weight they are.
        name: Name of the weight.
        shape: Their shape.
        initial: The numbers, or one number for all.

    Example:
        >>> from tfrecs._keras import keras
        >>> from tfrecs.layers.integers import Integers
        >>> layer = keras.layers.Layer()
        >>> ids = Integers(layer, "ids", [3], initial=-1)
        >>> ids.assign([4, -5, 6])
        >>> ids.tensor().numpy().tolist(), layer.weights[0].dtype.name
        ([4, -5, 6], 'uint32')
    """

    def __init__(
        self, layer: keras.layers.Layer, name: str, shape: Sequence[int], initial: Any = 0
    ) -> None:
        bits = np.broadcast_to(np.asarray(initial, np.int32), shape).view(np.uint32)
        self.variable = layer.add_weight(
            name=name,
            shape=shape,
            dtype=tf.uint32,
            initializer=lambda shape, dtype=None: tf.constant(bits, tf.uint32),
            trainable=False,
            experimental_autocast=False,
        )
        self.shape = self.variable.shape

    def tensor(self) -> tf.Tensor:
        """Returns the numbers, int32; nothing is copied."""
        return tf.bitcast(tf.convert_to_tensor(self.variable), tf.int32)

    def numpy(self) -> np.ndarray:
        """Returns the numbers as an int32 array."""
        return self.variable.numpy().view(np.int32)

    def assign(self, values: Any) -> None:
        """Sets the numbers, an array that fits int32."""
        self.variable.assign(np.ascontiguousarray(values, np.int32).view(np.uint32))
