"""The main job: from a log to a trained, tested model in a run folder."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from tfrecs import __version__
from tfrecs._keras import keras, tf
from tfrecs.data import Interactions, Split, Vocabulary, dataset_names
from tfrecs.evaluation import evaluate
from tfrecs.models import Model, SASRec
from tfrecs.optimizers import Adam
from tfrecs.training.callbacks import BestWeights
from tfrecs.training.recorder import MONITOR, Recorder, fit
from tfrecs.training.runs import Run, RunError, run_errors
from tfrecs.training.sources import SplitName, load_log, make_split
from tfrecs.training.specs import describe

KS = (10, 20)
Windows = Literal["last", "all"]


def train(
    output: str | os.PathLike[str],
    data: str | os.PathLike[str] = "ml-100k",
    model: Callable[[Vocabulary], Model] = SASRec,
    *,
    data_args: Mapping[str, Any] | None = None,
    k_core: int | None = None,
    split: SplitName = "leave_last_out",
    split_args: Mapping[str, Any] | None = None,
    windows: Windows = "all",
    batch_size: int = 32,
    epochs: int = 100,
    patience: int | None = 10,
    optimizer: Callable[[Any], keras.optimizers.Optimizer] = Adam,
    learning_rate: float = 1e-3,
    schedule: Literal["constant", "linear"] = "constant",
    seed: int = 0,
    resume: bool = False,
    console: Console | None = None,
) -> Run:
    """Trains a model on a log, tests it once, and leaves a run folder.

    Training stops when validation NDCG@10 no longer rises, and the weights of the best epoch are
    those that are tested and kept. Every epoch leaves a checkpoint. A run that was stopped, by
    Ctrl-C or a crash, goes on with `resume`, and then ends with the very weights that it would
    have had without the stop.

    Args:
        output: The run folder; new or empty, unless `resume`. See `Run` for what it holds.
        data: The name of a data set, such as ml-100k, or the path of a log. A path is also looked
            for in the folder that the environment variable TFRECS_DATA names.
        model: Makes the model from the vocabulary of items: a class, or a function.
        data_args: Arguments of `tfrecs.data.read` for a path: the names of columns that are not
            user_id, item_id and timestamp (`{"user": .., "item": .., "timestamp": ..}`), the
            format, the delimiter.
        k_core: Drop users and items with fewer interactions than this, until none is left.
        split: The rule that parts the log, a function of `tfrecs.data`.
        split_args: The rule's arguments, such as `{"test": 0.2}` for random_ratio.
        windows: Whether a sequence model learns from the last items of a long history or, in
            several windows, from all of them.
        batch_size: Histories (or pairs, for models that read none) a batch.
        epochs: The most epochs.
        patience: Epochs without a better validation NDCG@10 that end the training; None never
            ends it.
        optimizer: Makes the optimizer from the learning rate: a class, or a function.
        learning_rate: The learning rate, at the start.
        schedule: "constant", or "linear" for a decay to zero over all epochs.
        seed: Seed of everything random: the same seed gives the same weights.
        resume: Go on with the run in `output`, whose settings must be the same.
        console: Where to show progress; None shows it on standard output.

    Returns:
        The run.

    Raises:
        RunError: If the data or the settings are not usable, `output` holds something else, or the
            run to resume has other settings.
        CheckpointError: If `resume` finds checkpoints of which none is usable.
        Interrupted: On Ctrl-C, once what has been reached is written.

    Example:
        ```python
        import functools, tfrecs

        model = functools.partial(tfrecs.models.SASRec, dim=32)
        run = tfrecs.train("runs/first", data="ml-100k", model=model, epochs=20)
        print(run.metrics["test"]["NDCG@10"])
        ```
    """
    console = console or Console(highlight=False, markup=False, soft_wrap=True)
    run = Run(output)
    _check_folder(run, resume)
    with run_errors():
        if epochs < 1 or not learning_rate > 0:
            raise ValueError(
                f"epochs must be at least 1 and learning_rate positive, not {epochs} and "
                f"{learning_rate}."
            )
        best = BestWeights(MONITOR, patience)
        log = load_log(data, data_args, k_core)
        console.print(str(log))
        parts = make_split(log, split, split_args)
        console.print(_describe_split(parts))
        keras.utils.set_random_seed(seed)
        network = model(parts.items)
        targets, batches_from = _inputs(network, parts, windows, batch_size, seed)
        rate: Any = learning_rate
        if schedule == "linear":
            steps = epochs * len(batches_from(0))
            rate = keras.optimizers.schedules.PolynomialDecay(learning_rate, steps, 0.0)
        network.compile(optimizer=optimizer(rate))

    config = {
        "data": _portable(data),
        "data_args": dict(data_args) if data_args else None,
        "k_core": k_core,
        "split": split,
        "split_args": dict(split_args) if split_args else None,
        "model": describe(network, skip=("items",)),
        "windows": windows,
        "batch_size": batch_size,
        "epochs": epochs,
        "patience": patience,
        "optimizer": describe(network.optimizer, skip=("learning_rate",)),
        "learning_rate": learning_rate,
        "schedule": schedule,
        "seed": seed,
    }
    if resume:
        _check_same(run, config, parts)
    else:
        with run_errors():
            run.begin(config, parts.items)

    facts = _facts(network, config, log, parts)
    recorder = Recorder(run, run.checkpoints(network), best, facts)
    fit(
        recorder,
        network,
        parts.validation,
        batches_from,
        epochs=epochs,
        targets=targets,
        resume=resume,
        console=console,
    )
    validation = evaluate(network, parts.validation, ks=KS, baselines=False)
    test = evaluate(network, parts.test, ks=KS)
    run.write_metrics(
        recorder.metrics(validation=validation.metrics, test=test.metrics, baselines=test.baselines)
    )
    console.print(f"best epoch {best.best_epoch}, {recorder.seconds:.0f} s of training")
    console.print(str(test))
    return run


def _check_folder(run: Run, resume: bool) -> None:
    if resume:
        if not run.exists:
            raise RunError(f"There is no run to resume in {run.folder}: it has no config.yaml.")
    elif run.folder.exists() and (not run.folder.is_dir() or any(run.folder.iterdir())):
        hint = "go on with it by --resume, or " if run.exists else ""
        raise RunError(f"{run.folder} is not empty: {hint}name another output folder.")


def _check_same(run: Run, config: dict[str, Any], parts: Split) -> None:
    """A resumed run ends as the uninterrupted one would, so nothing about it may differ."""
    different = _difference(run.config, config)
    if different:
        raise RunError(
            f"{run.folder} was started with {different}. Resume it by `tfrecs train --resume "
            f"{run.folder}` alone, or train into another folder."
        )
    if parts.items != run.load_items():
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


def _inputs(
    model: Model, parts: Split, windows: Windows, batch_size: int, seed: int
) -> tuple[int, Callable[[int], tf.data.Dataset]]:
    """Targets an epoch, and the function that gives the batches from an epoch on."""
    if model.max_history is None:
        pairs = parts.train.pairs()
        return len(pairs), lambda epoch: pairs.batch(batch_size, seed=seed, first_epoch=epoch)
    sequences = parts.train.sequences(model.max_history, windows=windows)
    return sequences.num_targets, lambda epoch: sequences.batch(
        batch_size, seed=seed, first_epoch=epoch
    )


def _facts(model: Model, config: dict[str, Any], log: Interactions, parts: Split) -> dict[str, Any]:
    """What metrics.json says that is known before the training."""
    packages = ("tfrecs", "tensorflow", "tf-keras", "tensorflow-recommenders", "numpy")
    return {
        "model": type(model).__name__,
        "data": log.name,
        "protocol": parts.protocol,
        "seed": config["seed"],
        "parameters": sum(int(weight.shape.num_elements()) for weight in model.trainable_weights),
        "num_users": len(parts.users),
        "num_items": len(parts.items),
        "num_interactions": len(log),
        "dropped": log.dropped,
        "counts": parts.counts,
        "versions": {name: _version(name) for name in packages}
        | {"python": platform.python_version()},
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        # The package is used from its checkout.
        return __version__ if package == "tfrecs" else "unknown"


def _portable(data: str | os.PathLike[str]) -> str:
    """A path that works from any folder; a name, also one within TFRECS_DATA, stays as it is."""
    is_file = str(data) not in dataset_names() and Path(data).exists()
    return str(Path(data).resolve()) if is_file else str(data)


def _describe_split(parts: Split) -> str:
    counts = [f"{n:,} {name.replace('_', ' ')}" for name, n in parts.counts.items() if n]
    return f"{parts.protocol}: {', '.join(counts)}"
