"""Checks of what tasks are given: losses, names of metrics, and shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tfrecs._keras import keras, refuse_keras_3, tf

_AXES = {"q": "query", "c": "candidate"}


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
    name: str, queries: tf.Tensor, candidates: tf.Tensor, others: Mapping[str, tuple[Any, str]]
) -> None:
    """Refuses tensors that do not fit each other, as far as their shapes are known.

    Args:
        name: The task's name.
        queries: The queries' vectors.
        candidates: The candidates' vectors.
        others: By argument, a tensor or None, and its axes as a string: `q` a query, `c` a
            candidate, any other letter any size.

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
    sizes = {"q": rows[0], "c": columns[0]}
    for argument, (value, axes) in others.items():
        wanted = tf.TensorShape([sizes.get(axis) for axis in axes])
        shape = wanted if value is None else tf.convert_to_tensor(value).shape
        if not shape.is_compatible_with(wanted):
            meant = " and ".join(_AXES[axis] for axis in axes if axis in _AXES)
            raise ValueError(
                f"{name}: {argument} must have a value for each {meant}, shape {wanted}, but its "
                f"shape is {shape}, where {shapes}."
            )


def check_ids(name: str, ids: tf.Tensor | None, needs: Mapping[str, bool]) -> None:
    """Refuses a call without `candidate_ids` where something needs them.

    Args:
        name: The task's name.
        ids: The candidates' ids, or None.
        needs: By argument, whether it needs them.

    Raises:
        ValueError: If there are none.
    """
    if ids is None and any(needs.values()):
        raise ValueError(
            f"{name}: candidate ids must be supplied (candidate_ids=...) for "
            f"{' and '.join(argument for argument, needed in needs.items() if needed)}."
        )


def check_counted(name: str, queries: tf.Tensor, candidates: tf.Tensor) -> None:
    """Refuses more candidates than queries where a frequency counts rows of the batch.

    Args:
        name: The task's name.
        queries: The queries' vectors.
        candidates: The candidates' vectors.

    Raises:
        ValueError: If there are more; an `InvalidArgumentError` where only a step knows it.
    """
    message = (
        f"{name}: there are more candidates than queries, and frequency does not say how likely a "
        "further row is to hold an item: give candidate_sampling_probability=..., the probability "
        "of each candidate, instead of a frequency."
    )
    rows, columns = queries.shape[0], candidates.shape[0]
    if rows is None or columns is None:
        tf.debugging.assert_equal(tf.shape(queries)[0], tf.shape(candidates)[0], message)
    elif rows != columns:
        raise ValueError(message)
