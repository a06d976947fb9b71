"""The one place that decides which errors a command says in one line.

What a user can mend is said in one line: wrong arguments and files, a full disk, data that do not
fit, a training that diverged. Anything else is a fault of the program and keeps its traceback. With
TFRECS_TRACEBACK=1 every error does.
"""

from __future__ import annotations

import re
import zlib

# Errors of the package and of the libraries it reads files by, CheckpointError (RuntimeError) and
# ConfigError (ValueError) among them.
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
    """A mistake in what was asked: shown in one line, without a traceback."""


def one_line(error: BaseException) -> str | None:
    r"""What to say of an error in one line; None for a fault of the program.

    Args:
        error: What ended a command.

    Example:
        >>> one_line(ValueError("no such\ncolumn")), one_line(KeyError("x"))
        ('no such column', None)
    """
    kinds = type(error).__mro__
    # TensorFlow's own, such as one of a disk that is full; it may not be imported here.
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
    """An error about data, with the flags of the command line for the arguments that it names.

    Args:
        text: The error.

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
