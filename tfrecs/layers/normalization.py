"""Normalisation of vectors: to length 1, and to mean 0 and variance 1 (layer normalisation)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, registered

_SMALLEST_SQUARE = 1e-12


def unit_vectors(x: tf.Tensor) -> tf.Tensor:
    """Divides vectors by their lengths, as `tf.nn.l2_normalize(x, axis=-1)` does.

    Its gradient is written out, `(dy - y <y, dy>) / |x|`: on a table of all items, automatic
    differentiation makes twice as many passes over memory.

    Args:
        x: `[..., dim]` float32. Vectors shorter than 1e-6 are multiplied by 1e6 instead.

    Returns:
        `[..., dim]`.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> tfrecs.layers.unit_vectors(tf.constant([[0.0, 4.0]])).numpy().round(3).tolist()
        [[0.0, 1.0]]
    """

    @tf.custom_gradient
    def compute(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        square = tf.reduce_sum(tf.square(x), axis=-1, keepdims=True)
        scale = tf.math.rsqrt(tf.maximum(square, _SMALLEST_SQUARE))
        y = x * scale

        def gradient(dy: tf.Tensor) -> tf.Tensor:
            along = tf.reduce_sum(y * dy, axis=-1, keepdims=True)
            along = tf.where(square > _SMALLEST_SQUARE, along, 0.0)
            return (dy - y * along) * scale

        return y, gradient

    return compute(x)


@registered
class LayerNormalization(Configured, keras.layers.Layer):
    """Layer normalisation over the last axis (Ba et al., 2016).

        y = gamma (x - mean(x)) / sqrt(var(x) + epsilon) + beta

    Gives the values of `keras.layers.LayerNormalization`, in float32 under every precision policy.
    Keras makes ten operations, each with its gradient; here the gradient is written out. On short
    histories a transformer's time goes into the number of operations.

    Args:
        epsilon: Added to the variance.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> tfrecs.layers.LayerNormalization()(tf.constant([[1.0, 3.0]])).numpy().round(3).tolist()
        [[-1.0, 1.0]]
    """

    def __init__(self, epsilon: float = 1e-8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Creates the weights for inputs `[..., dim]`."""
        self.gamma = self.add_weight(name="gamma", shape=input_shape[-1:], initializer="ones")
        self.beta = self.add_weight(name="beta", shape=input_shape[-1:], initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the normalised `inputs`, `[..., dim]`."""
        x = tf.cast(inputs, tf.float32)
        y = _standardise(x, tf.cast(self.gamma, x.dtype), tf.cast(self.beta, x.dtype), self.epsilon)
        return tf.cast(y, self.compute_dtype)


def _standardise(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float) -> tf.Tensor:
    @tf.custom_gradient
    def compute(x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
        variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
        scale = tf.math.rsqrt(variance + epsilon)
        unit = centred * scale

        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            rows = list(range(dy.shape.rank - 1))
            along = dy * unit
            d_unit = dy * gamma
            d_mean = tf.reduce_mean(d_unit, axis=-1, keepdims=True)
            d_variance = tf.reduce_mean(along * gamma, axis=-1, keepdims=True)
            dx = scale * (d_unit - d_mean - unit * d_variance)
            return dx, tf.reduce_sum(along, axis=rows), tf.reduce_sum(dy, axis=rows)

        return unit * gamma + beta, gradient

    return compute(x, gamma, beta)
