"""Checks before a training begins: its arguments, its folder, and the run that it may resume."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tfrecs import models
from tfrecs._keras import tf
from tfrecs._names import choose, public_classes, simplified
from tfrecs.data import dataset_names
from tfrecs.evaluation.workers import from_chief
from tfrecs.models import Model
from tfrecs.training.runs import FREE, Run, RunError

ROW_SPLIT = "click_through"


def model_class(model: Any) -> type[Model]:
    """Returns the class of a model, given as such or by its name.

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
    """Refuses data that config.yaml cannot name, so that a run could not read them again."""
    if isinstance(data, str | os.PathLike):
        return
    raise RunError(
        f"data must be the path of a log or the name of a data set, not {type(data).__name__}: "
        "config.yaml names it, so that the run can be resumed and tested again. Write it to a file "
        '(frame.to_parquet("log.parquet"); of Interactions log.frame), or train without a run '
        "folder: tfrecs.data.Interactions(frame, user=..., item=...), a split of it, model.fit."
    )


def check_numbers(
    epochs: int,
    batch_size: int | None,
    learning_rate: float,
    checkpoint_minutes: float | None,
    steps_per_execution: int | None,
) -> None:
    """Raises a ValueError at the first number of `train` that is out of range."""
    counts = {"epochs": epochs, "batch_size": batch_size}
    for name, value in {**counts, "steps_per_execution": steps_per_execution}.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}.")
    if not learning_rate > 0:
        raise ValueError(f"learning_rate must be positive, not {learning_rate}.")
    if checkpoint_minutes is not None and not checkpoint_minutes > 0:
        raise ValueError(f"checkpoint_minutes must be positive or null, not {checkpoint_minutes}.")


def check_kind(model: type[Model], split: str) -> None:
    """Refuses a split of rows for a model of histories, and the other way round."""
    if (model.default_split == ROW_SPLIT) != (split == ROW_SPLIT):
        kind = "rows with a label" if model.default_split == ROW_SPLIT else "users' histories"
        raise ValueError(
            f"{model.__name__} learns from {kind}: it needs --split {model.default_split}, "
            f"not {split}."
        )


def portable(data: str | os.PathLike[str]) -> str:
    """Returns a path that works from any folder; names, also within TFRECS_DATA, stay."""
    is_file = str(data) not in dataset_names() and Path(data).exists()
    return str(Path(data).resolve()) if is_file else str(data)


def portable_args(data_args: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Returns the arguments of `tfrecs.data.read` with paths that work from any folder."""
    tables = ("user_features", "item_features")
    return {
        name: portable(value) if name in tables and value is not None else value
        for name, value in (data_args or {}).items()
    } or None


@contextlib.contextmanager
def locked_by_chief(run: Run, strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Holds the lock of a run's folder on the chief; the other workers learn of its failure."""
    with contextlib.ExitStack() as stack:
        from_chief(strategy, lambda: stack.enter_context(run.locked()))
        yield


def check_folder(run: Run, resume: bool) -> None:
    """Refuses a folder that holds something else than a run, or, to `resume`, no run."""
    if run.exists:
        return
    if resume:
        raise RunError(f"There is no run to resume in {run.folder}: it has no config.yaml.")
    if not run.is_free:
        raise RunError(f"{run.folder} is not empty: name another output folder.")


def check_same(run: Run, config: dict[str, Any], model: Model) -> None:
    """Refuses settings or items other than the run's: it must end as the uninterrupted one."""
    before, now = (
        {name: value for name, value in settings.items() if name not in FREE}
        # Written to YAML and read again, as the run's were: that makes lists of tuples.
        for settings in (run.config, yaml.safe_load(yaml.safe_dump(config)))
    )
    for settings in (before, now):
        # Older runs do not say them.
        settings.setdefault("deterministic", False)
        settings.setdefault("tf32", True)
    different = _difference(before, now)
    if different:
        remedy = (
            "It is finished: train into another folder."
            if run.finished
            else f"Go on with it by `tfrecs train --resume {run.folder}` alone, or train into "
            "another folder."
        )
        raise RunError(f"{run.folder} was started with {different}. {remedy}")
    if model.items != run.load_items():
        raise RunError(
            f"The items of {config['data']} are not those that {run.folder} was started with: "
            "the data have changed. Train into another folder."
        )


def _difference(before: Any, now: Any, name: str = "") -> str:
    """Names the first setting that differs, or returns an empty string."""
    if isinstance(before, dict) and isinstance(now, dict):
        parts = (
            _difference(before.get(key), now.get(key), f"{name}.{key}".removeprefix("."))
            for key in dict.fromkeys([*before, *now])
        )
        return next(filter(None, parts), "")
    return "" if before == now else f"{name.replace('.init_args', '')} {before}, not {now}"
