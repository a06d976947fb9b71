"""The one place that chooses Keras 2 and guards the import of TensorFlow Recommenders.

TensorFlow Recommenders (TFRS) runs on Keras 2 only, the package `tf-keras`, while TensorFlow 2.16
and later resolve `tf.keras` to Keras 3 at its first use, unless the environment variable
`TF_USE_LEGACY_KERAS` says otherwise. This module sets that variable, so a user never has to: an
`import tfrecs` anywhere before the first use of `tf.keras` is enough, also after
`import tensorflow` or `import keras`. A value that asks for Keras 3 is overridden, with a warning:
nothing in this package could work with it. Child processes inherit the variable.

Every other module takes TensorFlow from here:

    from tfrecs._keras import keras, tf, tfrs
"""

from __future__ import annotations

import os
import sys
import warnings
from types import ModuleType
from typing import Any

_RESTART = (
    "Restart Python and put `import tfrecs` before the first use of tf.keras, also before any "
    "library that uses it: tfrecs then chooses Keras 2 by itself. Keras 3 may be used beside it "
    "as `import keras`."
)


def _choose_keras_2() -> ModuleType:
    """Makes `tf.keras` mean Keras 2 in this process and returns TensorFlow."""
    asked = os.environ.get("TF_USE_LEGACY_KERAS")
    if asked not in (None, "1", "true", "True"):
        warnings.warn(
            f"tfrecs overrides TF_USE_LEGACY_KERAS={asked} with 1: TensorFlow Recommenders needs "
            "Keras 2. Unset the variable to silence this.",
            stacklevel=3,
        )
    # Read by TensorFlow when it resolves `tf.keras`, hence set before TensorFlow is imported.
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow

    minor = ".".join(tensorflow.__version__.split(".")[:2])
    install = f'pip install "tf-keras=={minor}.*"'
    try:
        import tf_keras
    except ImportError as error:
        raise ImportError(
            f"tfrecs needs tf-keras (Keras 2) for TensorFlow {tensorflow.__version__}, and it "
            f"cannot be imported ({error}). Run: {install}"
        ) from error
    if tf_keras.__version__.split(".")[:2] != minor.split("."):
        raise ImportError(
            f"tf-keras {tf_keras.__version__} does not fit TensorFlow {tensorflow.__version__}: "
            f"both must be of the same minor version. Run: {install}"
        )
    if tensorflow.keras.layers.Layer is not tf_keras.layers.Layer:
        raise ImportError(
            "tf.keras is already Keras 3 in this process, and TensorFlow Recommenders needs "
            f"Keras 2. {_RESTART}"
        )
    # TensorFlow fixes where `from tensorflow.keras import ...` looks when it is imported. When that
    # was before us it would find Keras 3, and set tf.keras to it.
    import tf_keras.api._v2.keras as api

    folder = os.path.dirname(os.path.dirname(api.__file__))
    if folder not in tensorflow.__path__:
        tensorflow.__path__.insert(0, folder)
    return tensorflow


# AutoGraph rewrites Python functions below a `tf.function` so that they may branch on tensors. That
# takes longer than tracing, so these rooms are traced as they are written. Keras still rewrites a
# user's layer that they call, and AutoGraph the modules that call methods of users' subclasses.
_TRACED_AS_WRITTEN = ("data", "layers", "losses", "negatives", "optimizers")
_CALLS_SUBCLASSES = ("losses.base", "losses.lists", "negatives.sample")


def _limit_autograph() -> None:
    """Tells AutoGraph which functions of the package to leave as they are."""
    from tensorflow.python.autograph.core import config

    config.CONVERSION_RULES = (
        *(config.Convert(f"tfrecs.{module}") for module in _CALLS_SUBCLASSES),
        *(config.DoNotConvert(f"tfrecs.{room}") for room in _TRACED_AS_WRITTEN),
        *config.CONVERSION_RULES,
    )


def _scann_error() -> str | None:
    """Returns why ScaNN cannot be used with this TensorFlow, None if it can."""
    loaded = {name for name in sys.modules if name.split(".")[0] == "scann"}
    try:
        from scann import scann_ops  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name == "scann":
            return (
                "ScaNN is off: scann is not installed. "
                "scann 1.4.2 runs with TensorFlow 2.20 only: pip install scann==1.4.2"
            )
        reason: Exception = error
    except Exception as error:  # An op library that does not load raises tf.errors.NotFoundError.
        reason = error
    else:
        return None
    # A half-imported package would hide the reason from whoever imports it next.
    for name in [name for name in sys.modules if name.split(".")[0] == "scann"]:
        if name not in loaded:
            del sys.modules[name]
    return (
        f"ScaNN is off: the installed scann does not work with TensorFlow {tf.__version__} "
        f"({type(reason).__name__}: {reason}). Install the two versions that belong together, "
        "such as scann 1.4.2 and TensorFlow 2.20."
    )


def _import_tfrs(scann_error: str | None) -> ModuleType:
    """Imports TFRS, and hides ScaNN from it if ScaNN would break the import."""
    if scann_error is None:
        import tensorflow_recommenders

        return tensorflow_recommenders
    missing = object()
    before: Any = sys.modules.get("scann", missing)
    sys.modules["scann"] = None  # type: ignore[assignment]  # Importing it raises ImportError.
    try:
        import tensorflow_recommenders
    finally:
        if before is missing:
            del sys.modules["scann"]
        else:
            sys.modules["scann"] = before
    # TFRS's own ScaNN layer asks this flag, and would only say that scann is not installed.
    tensorflow_recommenders.layers.factorized_top_k._HAVE_SCANN = _RaisesWhenAsked()
    return tensorflow_recommenders


class _RaisesWhenAsked:
    """A flag whose truth value is the ImportError that says why ScaNN is off."""

    def __bool__(self) -> bool:
        require_scann()
        return True


def require_scann() -> ModuleType:
    """Returns the module `scann`; raises an ImportError that says why it cannot be used."""
    if SCANN_ERROR is not None:
        raise ImportError(SCANN_ERROR)
    import scann

    return scann


def refuse_keras_3(value: Any, what: str) -> None:
    """Raises a TypeError that names the twin in Keras 2 if `value` holds an object of Keras 3.

    `what` names the argument that has this value.
    """
    for part in value if isinstance(value, list | tuple) else [value]:
        classes = [cls for cls in type(part).__mro__ if cls.__module__.split(".")[0] == "keras"]
        if classes:
            name = type(part).__name__
            room = {"loss": "losses", "optimizer": "optimizers"}.get(what, what)
            raise TypeError(
                f"{what}: {name} is an object of Keras 3, and TensorFlow Recommenders needs Keras "
                f"2. After `import tfrecs` take it from tf.keras, such as tf.keras.{room}.{name}."
            )


tf: Any = _choose_keras_2()
_limit_autograph()
keras: Any = tf.keras
SCANN_ERROR: str | None = _scann_error()
tfrs: Any = _import_tfrs(SCANN_ERROR)

__all__ = ["SCANN_ERROR", "keras", "refuse_keras_3", "require_scann", "tf", "tfrs"]
