"""What tasks share: the reduction of a loss under replicas, and metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from tfrecs._keras import keras, refuse_keras_3, tf
from tfrecs.losses import global_sum


class TaskMetric(keras.metrics.Metric):
    """A metric that reads NaN, not 0, while nothing has updated it since its last reset.

    Tasks skip metrics when they are told to (`compute_metrics=False`), and Keras logs them all the
    same.

    Args:
        metric: A Keras metric.
    """

    def __init__(self, metric: keras.metrics.Metric) -> None:
        super().__init__(name=metric.name, dtype=metric.dtype)
        self.metric = metric
        self._updates = self.add_weight("updates", initializer="zeros", dtype=tf.float32)

    def updated(self) -> None:
        """Says that the metric inside was updated."""
        self._updates.assign_add(1.0)

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Updates the metric inside."""
        self.updated()
        return self.metric.update_state(*args, **kwargs)

    def result(self) -> tf.Tensor:
        """Returns the result of the metric inside, or NaN."""
        result = self.metric.result()
        return tf.where(self._updates > 0, result, tf.constant(float("nan"), result.dtype))

    def reset_state(self) -> None:
        """Resets the metric inside too."""
        self._updates.assign(0.0)
        self.metric.reset_state()


def task_metrics(metrics: Any) -> list[TaskMetric]:
    """Returns task metrics of Keras metrics, or of their configs: a list, a single one, or None."""
    if metrics is None:
        return []
    if not isinstance(metrics, Sequence):
        metrics = [metrics]
    refuse_keras_3(list(metrics), "metrics")
    return [TaskMetric(keras.metrics.get(metric)) for metric in metrics]


def serialized(metrics: Iterable[TaskMetric]) -> list[dict[str, Any]]:
    """Returns the configs of the metrics inside."""
    return [keras.metrics.serialize(metric.metric) for metric in metrics]


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
