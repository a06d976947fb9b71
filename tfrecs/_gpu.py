"""Whether there is a GPU, and how exactly it multiplies float32 matrices."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


def has_gpu() -> bool:
    """Returns whether TensorFlow may use a GPU."""
    import tensorflow as tf

    return bool(tf.config.list_logical_devices("GPU"))


@contextlib.contextmanager
def tensor_float_32(enabled: bool) -> Iterator[None]:
    """Lets a GPU round the factors of float32 products to 10 bits (TF32), or not, while entered.

    TensorFlow's default is to round. CPUs never do.
    """
    # Not `tfrecs._keras`: an export needs neither Keras nor TFRS.
    import tensorflow as tf

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(enabled)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
