"""TensorFlow's import without its log, so that an error is the one line on standard error."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Keeps what TensorFlow's C++ code logs while it is imported off standard error.

    TensorFlow 2.21 logs then whatever TF_CPP_MIN_LOG_LEVEL says, before it reads the variable. What
    Python itself writes, such as warnings, is let through; loggers that are set up meanwhile keep
    the stream that it goes to, so this stays open.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    sys.stderr.flush()
    standard_error = open(os.dup(2), "w", buffering=1)  # noqa: SIM115
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(standard_error):
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(standard_error.fileno(), 2)
