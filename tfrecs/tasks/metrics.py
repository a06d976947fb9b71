"""Metrics of a task: Keras metrics that tell "not computed" from 0."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tfrecs._keras import keras, refuse_keras_3, tf


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


def check_names(task: keras.layers.Layer, metrics: Iterable[keras.metrics.Metric]) -> None:
    """Raises a ValueError if two metrics have one name: a log would show only the last."""
    names = [metric.name for metric in metrics]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"{task.name}: two metrics are named {' and '.join(twice)}, so logs would show only "
            "one: give each a name of its own."
        )
