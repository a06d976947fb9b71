"""The devices, workers and precision of a job, and the files that each worker writes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from tfrecs._gpu import has_gpu
from tfrecs._keras import keras, tf
from tfrecs.evaluation.workers import from_chief, is_chief
from tfrecs.training.runs import Run, RunError

StrategyName = Literal["none", "mirrored", "multi-worker"]
Precision = Literal["float32", "mixed_bfloat16", "mixed_float16"]

_WORKER = "tfrecs-worker-"  # With the process's number, the folder of its copy of the run.
_START = "`tfrecs launch --workers 2 -- train ...` sets it and starts the workers of one machine."


def make_strategy(name: StrategyName) -> tf.distribute.Strategy:
    """Returns the strategy of a name.

    Args:
        name: "none" for the one in force, usually one device; "mirrored" for all GPUs of this
            process, or, where there is none, all its logical CPU devices; "multi-worker" for all
            GPUs of the processes that the environment variable TF_CONFIG names. The last one must
            be made before anything else of TensorFlow is used.

    Raises:
        RunError: If the name is none of these; TF_CONFIG is missing or names no cluster; or
            TensorFlow has been used before.

    Example:
        >>> make_strategy("none").num_replicas_in_sync
        1
    """
    if name == "none":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        kind = "GPU" if has_gpu() else "CPU"
        devices = [device.name for device in tf.config.list_logical_devices(kind)]
        return tf.distribute.MirroredStrategy(devices)
    if name != "multi-worker":
        raise RunError(f"strategy must be none, mirrored or multi-worker, not {name!r}.")
    _check_cluster()
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        if "startup" not in str(error):
            raise
        raise RunError(
            "A multi-worker strategy must be made before anything else of TensorFlow: call "
            'tfrecs.training.make_strategy("multi-worker") first of all, also before losses and '
            "other layers, and give train the strategy."
        ) from error


def strategy_name(strategy: tf.distribute.Strategy) -> str:
    """Returns the name that `make_strategy` knows a strategy by; "none" for all others."""
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return "multi-worker"
    return "mirrored" if isinstance(strategy, tf.distribute.MirroredStrategy) else "none"


def _check_cluster() -> None:
    text = os.environ.get("TF_CONFIG")
    if not text:
        raise RunError(f"multi-worker needs the environment variable TF_CONFIG. {_START}")
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        known = int(task["index"]) < len(cluster[task["type"]])
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"TF_CONFIG names no cluster and task of it: {text}. {_START}") from error
    if not known or task["type"] not in ("chief", "worker"):
        raise RunError(
            f"TF_CONFIG's task must be a chief or worker of its cluster, not {task}. {_START}"
        )


@contextlib.contextmanager
def placed(strategy: tf.distribute.Strategy, precision: Precision) -> Iterator[None]:
    """Makes models for a strategy and with one of Keras's precisions while it is entered."""
    if precision not in get_args(Precision):
        raise RunError(
            f"precision must be float32, mixed_bfloat16 or mixed_float16, not {precision!r}."
        )
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(precision)
    try:
        with strategy.scope():
            yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def own_record(run: Run, strategy: tf.distribute.Strategy, resume: bool) -> Run:
    """Returns the run that this worker writes: on the chief `run`, on others a temporary one.

    All workers must write checkpoints, because they read the variables together. Another worker
    resumes from a copy of `run`, so every worker must see its folder.
    """
    record = run
    _remove_leftovers()
    if not is_chief(strategy):
        record = Run(tempfile.mkdtemp(prefix=f"{_WORKER}{os.getpid()}-"))
        weakref.finalize(record, shutil.rmtree, record.folder, ignore_errors=True)
        if resume:
            logs = shutil.ignore_patterns("tensorboard")
            shutil.copytree(run.folder, record.folder, ignore=logs, dirs_exist_ok=True)
    # No worker goes on and writes before all have read.
    from_chief(strategy, lambda: None)
    return record


def _remove_leftovers() -> None:
    """Removes the copies of checkpoints that killed workers of this user left behind."""
    if not hasattr(os, "getuid"):  # Windows.
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_WORKER}*"):
        owner = folder.name.removeprefix(_WORKER).partition("-")[0]
        with contextlib.suppress(OSError, OverflowError):  # As where another user's process runs.
            mine = folder.lstat().st_uid == os.getuid() and not folder.is_symlink()
            if not mine or not owner.isdecimal():
                continue
            try:
                os.kill(int(owner), 0)  # It only asks whether the process runs.
            except ProcessLookupError:
                shutil.rmtree(folder, ignore_errors=True)
