"""The moment by which a whole call must have its answer."""

from __future__ import annotations

import time

from tfrecs.serving.serving_error import ServingError


class Deadline:
    """Counts down the seconds of a call, over all requests that it makes.

    Args:
        seconds: How long the call may take.
        where: Whom it asks, for the error.
    """

    def __init__(self, seconds: float, where: str) -> None:
        self._seconds, self._where = seconds, where
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """The seconds that are left.

        Raises:
            ServingError: If none are.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.passed()
        return left

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return time.monotonic() >= self._end

    def passed(self) -> ServingError:
        """The error of a call that took too long."""
        return ServingError(
            "DEADLINE_EXCEEDED", f"No answer within {self._seconds:g} s", self._where
        )
