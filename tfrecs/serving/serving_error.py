"""The one exception for what a server, or the way to it, gives instead of an answer."""

from __future__ import annotations

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
