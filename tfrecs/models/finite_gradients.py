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
    bad = any_replica(any_not_finite(present))
    checked = iter(
        tf.cond(bad, lambda: [_zeros_like(g) for g in present], lambda: _identity(present))
    )
    return [None if g is None else next(checked) for g in gradients], bad


def any_not_finite(gradients: list[Any]) -> tf.Tensor:
    """Returns whether any of the gradients here is not finite, a bool scalar.

    Args:
        gradients: As in `zeros_unless_finite`.
    """
    # One pass that reads each gradient; an overflowing square counts as non-finite too.
    norm = tf.add_n([tf.nn.l2_loss(_values(g)) for g in gradients if g is not None])
    return ~tf.math.is_finite(norm)


def any_replica(here: tf.Tensor) -> tf.Tensor:
    """Returns whether a bool scalar is true on any replica."""
    return global_sum(tf.cast(here, tf.float32)) > 0


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
