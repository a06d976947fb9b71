"""Whether a training may go on in a folder: what must be there, and what must not differ."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import yaml

from tfrecs._keras import tf
from tfrecs.evaluation.workers import from_chief
from tfrecs.models import Model
from tfrecs.training.runs import FREE, Run, RunError


@contextlib.contextmanager
def locked_by_chief(run: Run, strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Holds the lock of a run's folder on the chief; the other workers learn of its failure.

    Args:
        run: The folder.
        strategy: The strategy of the job.

    Raises:
        RunError: If another process is training in the folder.
    """
    with contextlib.ExitStack() as stack:
        from_chief(strategy, lambda: stack.enter_context(run.locked()))
        yield


def check_folder(run: Run, resume: bool) -> None:
    """Refuses a folder that holds something else than a run.

    Args:
        run: The folder.
        resume: Whether it must hold a run.

    Raises:
        RunError: If it does not, or it holds something else.
    """
    if run.exists:
        return
    if resume:
        raise RunError(f"There is no run to resume in {run.folder}: it has no config.yaml.")
    if not run.is_free:
        raise RunError(f"{run.folder} is not empty: name another output folder.")


def check_same(run: Run, config: dict[str, Any], model: Model) -> None:
    """Refuses settings that differ: a resumed run ends as the uninterrupted one would.

    Args:
        run: A run that was begun.
        config: The settings now.
        model: The model that they make.

    Raises:
        RunError: If a setting differs, or the items do. The message names it.
    """
    before, now = (
        {name: value for name, value in settings.items() if name not in FREE}
        # Written and read again as the other was: tuples are lists then.
        for settings in (run.config, yaml.safe_load(yaml.safe_dump(config)))
    )
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
    """Names the first setting that differs, or nothing."""
    if isinstance(before, dict) and isinstance(now, dict):
        parts = (
            _difference(before.get(key), now.get(key), f"{name}.{key}".removeprefix("."))
            for key in dict.fromkeys([*before, *now])
        )
        return next(filter(None, parts), "")
    return "" if before == now else f"{name.replace('.init_args', '')} {before}, not {now}"
