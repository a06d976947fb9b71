"""Errors of servers, and the time that a call may take."""

from __future__ import annotations

import time

_REMEDIES = {
    "DEADLINE_EXCEEDED": "Give a longer timeout, or ask for fewer rows at once.",
    "NOT_FOUND": "Is the model's name right, and is a version of it loaded? See Client.status().",
    "UNAVAILABLE": "Is a server running at that address, and is this its port of gRPC or of REST?",
}


class ServingError(RuntimeError):
    """A server refused a request, or could not be reached.

    Args:
        code: A code of gRPC, by its name.
        message: What the server says, or what was met on the way to it.
        where: The address.

    Attributes:
        code: Among others `"NOT_FOUND"` (no such model or version), `"FAILED_PRECONDITION"` (no
            such signature, or inputs that cannot be batched together), `"INVALID_ARGUMENT"` (wrong
            inputs, or an unknown label), `"DEADLINE_EXCEEDED"` (the timeout), `"UNAVAILABLE"` (no
            server, or one with too much to do). Over REST it is told by the HTTP status, where
            `"INVALID_ARGUMENT"` stands for `"FAILED_PRECONDITION"` too.
        message: What the server says.

    Example:
        >>> from tfrecs.serving import ServingError
        >>> error = ServingError("NOT_FOUND", "Servable not found", "localhost:8500")
        >>> error.code, error.message
        ('NOT_FOUND', 'Servable not found')
    """

    def __init__(self, code: str, message: str, where: str) -> None:
        remedy = f" {_REMEDIES[code]}" if code in _REMEDIES else ""
        super().__init__(f"{code} from {where}: {message.rstrip('.')}.{remedy}")
        self.code = code
        self.message = message


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
