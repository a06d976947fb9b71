"""Numbers as they are, on one scale."""

from __future__ import annotations

import numpy as np

from tfrecs._keras import tf
from tfrecs.configured import registered
from tfrecs.layers.numeric import NumericEncoding, learn_standard, standardised


@registered
class Standardization(NumericEncoding):
    """Brings each number to mean 0 and variance 1 in the data.

        z_j = (x_j - m_j) / d_j

    with mean m and standard deviation d of the data; a feature that does not vary is only shifted.
    A missing value counts as the mean; an infinite one as 1,000 standard deviations.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> layer = tfrecs.layers.Standardization()
        >>> layer.adapt([[1.0], [3.0]])
        >>> layer(tf.constant([[5.0], [float("nan")]])).numpy().tolist()
        [[3.0], [0.0]]
    """

    def build(self, input_shape: tf.TensorShape) -> None:
        """Creates the weights for inputs `[..., num_features]`."""
        super().build(input_shape)
        self.mean = self._per_feature("mean", "zeros")
        self.deviation = self._per_feature("deviation", "ones")

    def _learn(self, values: np.ndarray, target: np.ndarray | None) -> None:
        learn_standard(self, values)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the standardised numbers, `[..., num_features]`."""
        z = standardised(self, self._checked(inputs))
        return tf.cast(tf.clip_by_value(z, -1e3, 1e3), self.compute_dtype)
