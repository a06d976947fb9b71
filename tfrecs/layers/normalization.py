"""Scaling of vectors to length 1."""

from __future__ import annotations

from collections.abc import Callable

from tfrecs._keras import tf

_SMALLEST_SQUARE = 1e-12


def unit_vectors(x: tf.Tensor) -> tf.Tensor:
    """Divides vectors by their lengths, as `tf.nn.l2_normalize(x, axis=-1)` does.

    Its gradient is written out, `(dy - y <y, dy>) / |x|`: on a table of all items, the passes over
    memory are what it costs, and automatic differentiation takes twice as many.

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
