"""Checks of what a model is given, before TensorFlow fails in the middle of a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tfrecs._keras import refuse_keras_3, tf
from tfrecs.data import RowSplit, Split, Vocabulary

if TYPE_CHECKING:
    from tfrecs.models.base import Model

# What `keras.Model.compile` takes, in the order of its positions.
_COMPILE = ("optimizer", "loss", "metrics", "loss_weights", "weighted_metrics")
_AXES = {1: "[batch]", 2: "[batch, time]"}


def check_items(items: Any, model: str) -> None:
    """Refuses what is neither a vocabulary nor a number of items.

    Args:
        items: What the model is given.
        model: Name of its class.

    Raises:
        TypeError: If it is something else.
    """
    if isinstance(items, Split | RowSplit):
        raise TypeError(
            f"{model} takes the items of a split, not the split: {model}.from_split(split, ...), "
            f"or {model}(split.items, ...)."
        )
    if isinstance(items, bool) or not isinstance(items, Vocabulary | int | np.integer | None):
        raise TypeError(
            f"{model}: items must be their vocabulary (split.items) or their number, not "
            f"{type(items).__name__}."
        )


def check_compile(model: Model, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """Refuses arguments of `compile` that the model would ignore.

    Args:
        model: The model.
        args: The positional arguments.
        kwargs: The others.

    Raises:
        ValueError: If there is a loss, a weight of losses or a metric.
        TypeError: If the optimizer is one of Keras 3.
    """
    given = dict(zip(_COMPILE, args, strict=False)) | dict(kwargs)
    name = type(model).__name__
    remedies = {
        "loss": f"{name}({model.loss_argument}=...)",
        "loss_weights": f"{name}({model.loss_argument}=...)",
        "metrics": "fit(validation_data=split.validation), which reports those of ranks or rows",
    }
    remedies["weighted_metrics"] = remedies["metrics"]
    for argument, remedy in remedies.items():
        if given.get(argument) is not None:
            raise ValueError(
                f"{name}.compile has no use for {argument}: the model itself says what is "
                f"minimised. Give it by {remedy}."
            )
    refuse_keras_3(given.get("optimizer"), "optimizer")


def check_batches(model: Model, x: Any) -> None:
    """Refuses data that are not batches of a model's features, and shows the right call.

    Args:
        model: The model.
        x: What `fit` or `evaluate` is given.

    Raises:
        ValueError: If it is something else.
    """
    ranks = model.feature_ranks
    if not ranks:  # A model that does not say what it takes.
        return
    wrong = _wrong(x, ranks)
    if wrong is None:
        return
    name = type(model).__name__
    wanted = ", ".join(f"{n!r} {_AXES.get(r or 0, '')}".rstrip() for n, r in ranks.items())
    raise ValueError(
        f"{name} learns from batches of {wanted}, and was given {wrong}. The call is "
        f"model.fit(model.examples(split.train).batch({model.default_batch_size}))."
    )


def _wrong(x: Any, ranks: Mapping[str, int | None]) -> str | None:
    """Says what is wrong with batches; None if nothing is."""
    if isinstance(x, tf.data.Dataset):
        return _wrong_features(x.element_spec, ranks)
    if isinstance(x, Mapping):
        return _wrong_features(x, ranks)
    if x is None:
        return "nothing"
    plain = isinstance(x, list | tuple | np.ndarray | str) or tf.is_tensor(x)
    if plain or isinstance(x, pd.DataFrame):
        return type(x).__name__
    if hasattr(x, "element_spec") or hasattr(x, "__next__") or hasattr(x, "__getitem__"):
        return None  # A distributed data set, a generator or a sequence of batches: Keras's matter.
    batch = ", which has to be made batches by .batch(size)" if hasattr(x, "batch") else ""
    return f"{type(x).__name__}{batch}"


def _wrong_features(features: Any, ranks: Mapping[str, int | None]) -> str | None:
    """What is wrong with one batch, or with what a data set says of its elements."""
    if not isinstance(features, Mapping):
        kind = "pairs (x, y)" if isinstance(features, tuple) else type(features).__name__
        return f"elements that are {kind}, not features by name"
    missing = [name for name in ranks if name not in features]
    if missing:
        return (
            f"{', '.join(map(repr, features)) or 'none'}, without {', '.join(map(repr, missing))}"
        )
    for name, rank in ranks.items():
        found = tf.TensorShape(getattr(features[name], "shape", None)).rank
        if rank is None or found is None or found == rank:
            continue
        if found == rank - 1:
            return f"{name!r} without its axis of the batch: .batch(size) is missing"
        return f"{name!r} with {found} axes, not {rank}"
    return None
