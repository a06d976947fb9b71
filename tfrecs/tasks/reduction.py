"""From the losses of examples to the number an optimizer minimises, right under replicas."""

from __future__ import annotations

from typing import Any, NamedTuple

from tfrecs._keras import keras, refuse_keras_3, tf
from tfrecs.losses import global_sum


class Reduced(NamedTuple):
    """A batch's loss.

    Attributes:
        loss: What to minimise: a replica's share of the whole batch's mean, or of the sum.
        reported: What summarises this replica's examples, for a metric.
        weight: The weight of `reported` in the metric's mean; None for the metric's own.
    """

    loss: tf.Tensor
    reported: tf.Tensor
    weight: tf.Tensor | None


def reduce_losses(
    losses: tf.Tensor, sample_weight: tf.Tensor | None = None, reduction: str = "auto"
) -> Reduced:
    """Reduces the losses of examples, `[batch, ...]`, weighted by `sample_weight`.

    That is a scalar or `[batch]`.

    Keras's reductions "auto" and "sum_over_batch_size" give the weighted mean, "sum" the weighted
    sum (which is TFRS's retrieval loss) and "none" the weighted losses.
    """
    losses = tf.cast(losses, tf.float32)
    weights = tf.ones_like(losses)
    if sample_weight is not None:
        given = tf.cast(sample_weight, tf.float32)
        if given.shape.rank:
            ones = tf.ones([losses.shape.rank - 1], tf.int32)
            given = tf.reshape(given, tf.concat([tf.shape(losses)[:1], ones], 0))
        weights *= given
    weighted = losses * weights
    if reduction == keras.losses.Reduction.NONE:
        return Reduced(weighted, weighted, None)
    total = tf.reduce_sum(weighted)
    if reduction == keras.losses.Reduction.SUM:
        return Reduced(total, total, None)
    weight = tf.reduce_sum(weights)
    everybody = global_sum(weight)
    # Weights first: a sum of large losses could be no float32 number where their mean is one.
    share = tf.reduce_sum(losses * tf.math.divide_no_nan(weights, everybody))
    return Reduced(share, tf.math.divide_no_nan(share * everybody, weight), weight)


def keras_loss(loss: Any, default: Any) -> Any:
    """Returns the Keras loss that `loss` is or names; `default` for None."""
    if loss is None:
        return default
    refuse_keras_3(loss, "loss")
    loss = keras.losses.get(loss)
    if not isinstance(loss, keras.losses.Loss):
        raise TypeError(
            "A task's loss must be a keras.losses.Loss, such as BinaryCrossentropy(), not "
            f"{loss!r}. Put a function f(y_true, y_pred) into the `call` of a subclass of it."
        )
    return loss
