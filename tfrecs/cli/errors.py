"""Standard error of a command: a user's errors in one line, and no log of TensorFlow.

Errors that a user can mend are one line: wrong arguments and files, a full disk, data that do not
fit, a training that diverged. Any other error is a fault of the program and keeps its traceback.
With TFRECS_TRACEBACK=1 every error does.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import zlib
from collections.abc import Iterator

# Errors of the package, such as ConfigError (a ValueError), and of libraries that read files.
_EXPECTED = (
    ArithmeticError,
    EOFError,
    ImportError,
    MemoryError,
    OSError,
    RecursionError,
    ValueError,
    zlib.error,
)
_EXPECTED_NAMES = ("CheckpointError", "ChiefError", "ServingError", "YAMLError")
_LONGEST = 1000


class UserError(Exception):
    """A wrong argument: shown in one line, without a traceback."""


def one_line(error: BaseException) -> str | None:
    r"""Returns an error in one line; None for a fault of the program.

    Example:
        >>> one_line(ValueError("no such\ncolumn")), one_line(KeyError("x"))
        ('no such column', None)
    """
    kinds = type(error).__mro__
    # TensorFlow's own, as of a full disk. They are known by name: importing it takes seconds.
    of_tensorflow = any(
        cls.__name__ == "OpError" and cls.__module__.startswith("tensorflow.") for cls in kinds
    )
    named = any(cls.__name__ in _EXPECTED_NAMES for cls in kinds)
    if not (isinstance(error, (UserError, *_EXPECTED)) or of_tensorflow or named):
        return None
    text = " ".join(str(error).split())
    if any(cls.__name__ == "DataError" for cls in kinds):
        text = with_flags(text)
    if isinstance(error, MemoryError):
        text = f"not enough memory. {text}"
    if isinstance(error, RecursionError):
        text = f"something is nested too deep. {text}"
    text = text.strip() or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


# Arguments of `tfrecs.data.read` as its errors name them.
_READING = re.compile(
    r"\b(user|item|timestamp|weight|time_format|format|columns|delimiter|decimal|multiline|where"
    r"|duplicates|user_features|item_features)=(\"[^\"]*\"|'[^']*'|\w*)"
)


def with_flags(text: str) -> str:
    """Returns an error about data with the flags of the command line instead of arguments.

    Example:
        >>> with_flags('Say which to use with user="...", or timestamp=None.')
        'Say which to use with --data_args.user ..., or --data_args.timestamp null.'
    """

    def flag(match: re.Match[str]) -> str:
        value = match[2].strip("\"'")
        value = {"None": "null", "True": "true", "False": "false"}.get(value, value)
        value = f"'{value}'" if " " in value else value
        return f"--data_args.{match[1]} {value}".rstrip()

    return _READING.sub(flag, text)


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Keeps the log of TensorFlow's C++ code off standard error while TensorFlow is imported.

    TensorFlow 2.21 logs before it reads TF_CPP_MIN_LOG_LEVEL. What Python writes, such as warnings,
    gets through. Loggers that are set up meanwhile keep Python's stream, so it stays open.
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
