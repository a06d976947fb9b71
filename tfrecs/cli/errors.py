"""Mistakes in what was asked, each said in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


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
