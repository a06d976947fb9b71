"""Mistakes in what was asked, each said in one line."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator


class UserError(Exception):
    """A mistake in what was asked: shown in one line, without a traceback."""


@contextlib.contextmanager
def user_errors(*kinds: type[BaseException]) -> Iterator[None]:
    """Takes exceptions of the given kinds for mistakes in what was asked.

    Everything else is a fault of the program, and keeps its traceback.

    Args:
        *kinds: Types of exceptions.

    Raises:
        UserError: With the message of such an exception, on one line.
    """
    try:
        yield
    except kinds as error:
        raise UserError(" ".join(str(error).split()) or type(error).__name__) from error


def choose(wrong: str, names: Iterable[str]) -> str:
    """What to write in place of a wrong name.

    Args:
        wrong: What was written.
        names: What could have been.

    Returns:
        A sentence.

    Example:
        >>> choose("evalute", ["train", "evaluate"])
        "Did you mean 'evaluate'? Choose from: train, evaluate."
    """
    names = list(names)
    close = difflib.get_close_matches(wrong, names, n=1)
    question = f"Did you mean {close[0]!r}? " if close else ""
    return f"{question}Choose from: {', '.join(names)}."
