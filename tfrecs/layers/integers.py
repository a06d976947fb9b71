"""Whole numbers among a layer's weights, such as item ids, that a compiled step can read."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfrecs._keras import keras, tf


class Integers:
    """Int32 numbers of a layer that are saved with it and do not train.

    They are stored two by two as int64. TensorFlow keeps int32 variables in the host's memory,
    where code that XLA compiles for a GPU cannot read them, and workers cannot send each other
    uint32.

    Args:
        layer: The layer whose weight they are.
        name: Name of the weight.
        values: The numbers, an array of any shape.

    Raises:
        ValueError: If they do not fit int32.

    Example:
        >>> import numpy as np
        >>> from tfrecs._keras import keras
        >>> from tfrecs.layers.integers import Integers
        >>> layer = keras.layers.Layer()
        >>> ids = Integers(layer, "ids", np.zeros(3))
        >>> ids.assign([4, -5, 6])
        >>> ids.tensor().numpy().tolist(), layer.weights[0].dtype.name
        ([4, -5, 6, 0], 'int64')
    """

    def __init__(self, layer: keras.layers.Layer, name: str, values: Any) -> None:
        values = np.asarray(values)
        self.shape = values.shape
        # With one more row where they do not make pairs: a slice of a table would copy it.
        odd = math.prod(self.shape) % 2
        self._padded = (self.shape[0] + odd, *self.shape[1:]) if self.shape else (2,)
        pairs = self._pairs(values)
        self.variable = layer.add_weight(
            name=name,
            shape=pairs.shape,
            dtype=tf.int64,
            initializer=lambda shape, dtype=None: tf.constant(pairs, tf.int64),
            trainable=False,
        )

    def tensor(self) -> tf.Tensor:
        """Returns the numbers as int32, without a copy.

        If their number is odd, one more row of zeros comes last.
        """
        numbers = tf.bitcast(tf.convert_to_tensor(self.variable), tf.int32)
        return tf.reshape(numbers, self._padded) if self.shape else numbers[0, 0]

    def numpy(self) -> np.ndarray:
        """Returns a new int32 array of the numbers."""
        flat = self.variable.numpy().copy().view(np.int32)
        return flat[: math.prod(self.shape)].reshape(self.shape)

    def assign(self, values: Any) -> None:
        """Sets the numbers.

        Raises:
            ValueError: If they have another shape, or do not fit int32.
        """
        self.variable.assign(self._pairs(np.asarray(values)))

    def _pairs(self, values: np.ndarray) -> np.ndarray:
        """The numbers two by two, int64."""
        flat = np.zeros(math.prod(self._padded), np.int32)
        numbers = values.astype(np.int32)
        if values.shape != self.shape or (numbers != values).any():
            raise ValueError(
                f"{values.dtype} of shape {values.shape} are no int32 of shape {self.shape}."
            )
        flat[: values.size] = numbers.ravel()
        return flat.view(np.int64)
