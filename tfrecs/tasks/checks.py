"""Checks of what tasks are given: losses, names of metrics, and shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tfrecs._keras import keras, refuse_keras_3, tf


def check_names(task: keras.layers.Layer, metrics: Iterable[keras.metrics.Metric]) -> None:
    """Raises a ValueError if two metrics have one name: a log would show only the last."""
    names = [metric.name for metric in metrics]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"{task.name}: two metrics are named {' and '.join(twice)}, so logs would show only "
            "one: give each another name."
        )


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


def check_shapes(
    name: str, queries: tf.Tensor, candidates: tf.Tensor, per_candidate: Mapping[str, Any]
) -> None:
    """Refuses vectors that do not fit each other, as far as their shapes are known.

    Args:
        name: The task's name.
        queries: The queries' vectors.
        candidates: The candidates' vectors.
        per_candidate: By name, what has one value a candidate, or None.

    Raises:
        ValueError: If shapes do not fit.
    """
    rows, columns = queries.shape, candidates.shape
    shapes = f"query_embeddings have shape {rows} and candidate_embeddings {columns}"
    if rows.rank not in (None, 2, 3) or columns.rank not in (None, 2):
        raise ValueError(f"{name}: vectors must be rows of a matrix, but {shapes}.")
    if rows.rank is None or columns.rank is None:
        return
    if not rows[-1:].is_compatible_with(columns[-1:]):
        raise ValueError(f"{name}: vectors must have the same length, but {shapes}.")
    if rows[0] is not None and columns[0] is not None and rows[0] > columns[0]:
        raise ValueError(f"{name}: each query needs its own candidate, but {shapes}.")
    for argument, value in per_candidate.items():
        shape = columns[:1] if value is None else tf.convert_to_tensor(value).shape
        if not shape.is_compatible_with(columns[:1]):
            raise ValueError(
                f"{name}: {argument} must have one value for each candidate, but the shape "
                f"is {shape}, and {shapes}."
            )
