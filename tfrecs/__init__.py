"""Neural recommenders on TensorFlow: data, models, losses, evaluation, training and serving.

The rooms load at their first use, so `import tfrecs` is quick and does not start TensorFlow. It
does choose Keras 2, which TensorFlow Recommenders needs, for the TensorFlow that comes after it.

Example:
    ```python
    import tfrecs

    log = tfrecs.data.load("ml-100k")
    split = tfrecs.data.leave_last_out(log)
    model = tfrecs.models.SASRec(split.items)
    ```
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfrecs import (
        data,
        evaluation,
        layers,
        losses,
        models,
        negatives,
        optimizers,
        recipes,
        serving,
        tasks,
        training,
    )
    from tfrecs.evaluation import evaluate
    from tfrecs.training import train

__version__ = "0.2.0"

__all__ = [
    "__version__",
    "data",
    "evaluate",
    "evaluation",
    "layers",
    "losses",
    "models",
    "negatives",
    "optimizers",
    "recipes",
    "serving",
    "tasks",
    "train",
    "training",
]


def _scann_may_break_tfrs() -> bool:
    """Whether scann is installed and not known to be made for the installed TensorFlow."""
    if importlib.util.find_spec("scann") is None:
        return False
    try:
        requirements = importlib.metadata.requires("scann") or []
        minor = importlib.metadata.version("tensorflow").rsplit(".", 1)[0]
    except importlib.metadata.PackageNotFoundError:
        return True
    return not any(item.startswith(f"tensorflow~={minor}.") for item in requirements)


# TensorFlow reads the variable when it is imported. Where that has happened, where the variable
# says otherwise, or where a scann could break the import of TensorFlow Recommenders, the guard in
# _keras must act now; else it can wait for the first room that needs TensorFlow.
if (
    "tensorflow" in sys.modules
    or os.environ.setdefault("TF_USE_LEGACY_KERAS", "1") not in ("1", "true", "True")
    or _scann_may_break_tfrs()
):
    importlib.import_module("tfrecs._keras")


def __getattr__(name: str) -> Any:
    """Imports a room, or one of the two functions named here, when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module 'tfrecs' has no attribute {name!r}")
    if name in ("evaluate", "train"):
        room = {"evaluate": "tfrecs.evaluation", "train": "tfrecs.training"}[name]
        return getattr(importlib.import_module(room), name)
    return importlib.import_module(f"tfrecs.{name}")


def __dir__() -> list[str]:
    """The public names, loaded or not."""
    return sorted(__all__)
