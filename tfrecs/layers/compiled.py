"""Whether XLA compiles a function, and checks at run time where it does not."""

from __future__ import annotations

import contextlib
from typing import Any

from tfrecs._keras import tf


def compiled_by_xla() -> bool:
    """Returns whether the function that is being traced has `jit_compile=True`."""
    # TensorFlow has no public way to tell; Keras tells it in this way.
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

    XLA has no way to fail, and gets no check.
    """
    if compiled_by_xla():
        return contextlib.nullcontext()
    return tf.control_dependencies([tf.debugging.assert_positive(number, message)])
