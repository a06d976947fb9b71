"""Gradients that are not finite, kept out of the weights on all replicas alike."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import tf
from tfrecs.losses import global_sum


def zeros_unless_finite(gradients: list[Any]) -> tuple[list[Any], tf.Tensor]:
    """Replaces the gradients by zeros if any of them, on any replica, is not finite.

    Args:
        gradients: Tensors, `IndexedSlices` or None, as `GradientTape.gradient` gives them.

    Returns:
        The gradients or zeros, and whether there was one that is not finite, a bool scalar.
    """
    present = [g for g in gradients if g is not None]
    # One pass that reads each gradient; an overflowing square counts as non-finite too.
    norm = tf.add_n([tf.nn.l2_loss(_values(g)) for g in present])
    bad = global_sum(tf.cast(~tf.math.is_finite(norm), tf.float32)) > 0
    checked = iter(
        tf.cond(bad, lambda: [_zeros_like(g) for g in present], lambda: _identity(present))
    )
    return [None if g is None else next(checked) for g in gradients], bad


def _values(gradient: Any) -> tf.Tensor:
    values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
    return tf.cast(values, tf.float32)


def _zeros_like(gradient: Any) -> Any:
    if isinstance(gradient, tf.IndexedSlices):
        return tf.IndexedSlices(
            tf.zeros_like(gradient.values), gradient.indices, gradient.dense_shape
        )
    return tf.zeros_like(gradient)


def _identity(gradients: list[Any]) -> list[Any]:
    return [tf.identity(g) if isinstance(g, tf.Tensor) else g for g in gradients]
