"""What is different where XLA compiles a function: no check at run time, no string."""

from __future__ import annotations

import contextlib
from typing import Any

from tfrecs._keras import tf


def compiled_by_xla() -> bool:
    """Whether the function that is being traced has `jit_compile=True`."""
    # TensorFlow has no public way to tell; this is the one that Keras takes.
    if tf.executing_eagerly():
        return False
    graph = tf.compat.v1.get_default_graph()
    while graph is not None:
        context = graph._get_control_flow_context()
        while context is not None:
            if context.IsXLAContext():
                return True
            context = context.outer_context
        graph = getattr(graph, "outer_graph", None)
    return False


def surely_positive(number: tf.Tensor, message: str) -> Any:
    """Returns a context whose operations fail with `message` unless a number is positive.

    XLA, which has no way to fail, gets no check, nor the string of its message.

    Args:
        number: The number.
        message: What is wrong, and what to do.
    """
    if compiled_by_xla():
        return contextlib.nullcontext()
    return tf.control_dependencies([tf.debugging.assert_positive(number, message)])
