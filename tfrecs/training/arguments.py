"""Checks the arguments of `train` before anything is read or made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfrecs import models
from tfrecs._names import choose, public_classes, simplified
from tfrecs.data import dataset_names
from tfrecs.models import Model
from tfrecs.training.runs import RunError


def model_class(model: Any) -> type[Model]:
    """Returns the class of a model that is given as such or by its name.

    Args:
        model: A class, or its name as the command line takes it, such as "sasrec".

    Raises:
        RunError: If there is no such model.

    Example:
        >>> model_class("two-tower").__name__
        'TwoTower'
    """
    if isinstance(model, str):
        classes = public_classes(models, base=Model)
        if simplified(model) not in classes:
            known = [cls.__name__ for cls in classes.values()]
            raise RunError(f"There is no model {model!r}. {choose(model, known)}")
        return classes[simplified(model)]
    if not isinstance(model, type) or not issubclass(model, Model):
        what = model.__name__ if isinstance(model, type) else f"an object, {type(model).__name__}"
        raise RunError(
            "model must be the class of a tfrecs model, such as tfrecs.models.SASRec, or its name, "
            f"not {what}. Its arguments go into model_args."
        )
    return model


def check_data(data: Any) -> None:
    """Refuses data that a run folder could not name, and so not read again to resume or to test.

    Args:
        data: What `train` is given.

    Raises:
        RunError: If it is neither a path nor a name.
    """
    if isinstance(data, str | os.PathLike):
        return
    raise RunError(
        f"data must be the path of a log or the name of a data set, not {type(data).__name__}: "
        "config.yaml names it, so that the run can be resumed and tested again. Write it to a file "
        '(frame.to_parquet("log.parquet"); of Interactions log.frame), or train without a run '
        "folder: tfrecs.data.Interactions(frame, user=..., item=...), a split of it, model.fit."
    )


def check_numbers(
    epochs: int, batch_size: int | None, learning_rate: float, checkpoint_minutes: float | None
) -> None:
    """Refuses numbers that are out of their range.

    Args:
        epochs: As for `train`, like the others.
        batch_size: None for the model's own.
        learning_rate: The learning rate.
        checkpoint_minutes: None for none within an epoch.

    Raises:
        ValueError: At the first one.
    """
    for name, value in (("epochs", epochs), ("batch_size", batch_size)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}.")
    if not learning_rate > 0:
        raise ValueError(f"learning_rate must be positive, not {learning_rate}.")
    if checkpoint_minutes is not None and not checkpoint_minutes > 0:
        raise ValueError(f"checkpoint_minutes must be positive or null, not {checkpoint_minutes}.")


def portable(data: str | os.PathLike[str]) -> str:
    """A path that works from any folder; a name, also one within TFRECS_DATA, stays as it is.

    Args:
        data: A name or a path.
    """
    is_file = str(data) not in dataset_names() and Path(data).exists()
    return str(Path(data).resolve()) if is_file else str(data)


def portable_args(data_args: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The arguments of `tfrecs.data.read` as config.yaml keeps them: paths from any folder.

    Args:
        data_args: The arguments.
    """
    tables = ("user_features", "item_features")
    return {
        name: portable(value) if name in tables and value is not None else value
        for name, value in (data_args or {}).items()
    } or None
