"""What a server says: errors, a model's signatures, and answers, which are checked."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

Signatures = dict[str, dict[str, dict[str, dict[str, Any]]]]

# The most bytes of an answer: some millions of scores.
LARGEST = 1 << 28
_REMEDIES = {
    "DEADLINE_EXCEEDED": "Give a longer timeout, or ask for fewer rows at once.",
    "NOT_FOUND": "Is the model's name right, and is a version of it loaded? See Client.status().",
    "UNAVAILABLE": "Is a server running at that address, and is this its port of gRPC or of REST?",
}


class ServingError(RuntimeError):
    """A server refused a request, or could not be reached.

    Args:
        code: A code of gRPC, by its name.
        message: What the server says, or what went wrong on the way to it.
        where: The address.

    Attributes:
        code: Among others `"NOT_FOUND"` (no such model or version), `"FAILED_PRECONDITION"` (no
            such signature, or inputs that cannot be batched together), `"INVALID_ARGUMENT"` (wrong
            inputs, or an unknown label), `"DEADLINE_EXCEEDED"` (the timeout), `"UNAVAILABLE"` (no
            server, or one with too much to do). REST tells it by the HTTP status, where
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
    """Counts down the seconds of a call to the server `where`, over all its requests."""

    def __init__(self, seconds: float, where: str) -> None:
        self._seconds, self._where = seconds, where
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """The seconds that are left; raises the `ServingError` of `passed` if none are."""
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


@contextlib.contextmanager
def understood(where: str) -> Iterator[None]:
    """Turns any error in reading an answer of the server `where` into a `ServingError`."""
    try:
        yield
    except ServingError:
        raise
    except Exception as error:  # NumPy and JSON raise many kinds on an unforeseen form.
        told = f"{type(error).__name__}: {str(error)[:200]}"
        raise ServingError(
            "INTERNAL", f"The answer is not one of TensorFlow Serving ({told})", where
        ) from error


def check_answer(
    answer: Mapping[str, np.ndarray],
    outputs: Mapping[str, Mapping[str, Any]],
    rows: int,
    where: str,
) -> None:
    """Refuses an answer to `rows` rows that is not what the signature says of its outputs.

    Raises:
        ServingError: If an output is missing or strange, or has another type or shape.
    """
    if set(answer) != set(outputs):
        raise _strange(f"it has {', '.join(answer) or 'nothing'}, not {', '.join(outputs)}", where)
    for name, about in outputs.items():
        array, shape = answer[name], about["shape"]
        wanted = "object" if about["dtype"] == "string" else about["dtype"]
        if array.dtype.name != wanted and not (wanted == "object" and array.dtype.kind in "SUO"):
            raise _strange(f"{name} is {array.dtype}, not {about['dtype']}", where)
        if not shape:
            continue
        expected = [rows, *shape[1:]]
        fits = array.ndim == len(shape) and all(
            size is None or size == found for size, found in zip(expected, array.shape, strict=True)
        )
        if not fits:
            raise _strange(f"{name} has the shape {list(array.shape)}, not {expected}", where)


def check_recommendations(
    answer: Mapping[str, np.ndarray], known: Collection[str] | None, where: str
) -> None:
    """Refuses recommendations with scores that are no numbers, or of items that nobody knows.

    Args:
        answer: `item_id` and `score`, `[rows, k]`.
        known: The items of the export and its padding, as text; None where they are not at hand.
        where: The server.

    Raises:
        ServingError: At the first that is wrong.
    """
    if not {"item_id", "score"} <= set(answer) or answer["item_id"].shape != answer["score"].shape:
        raise _strange("it holds no items with their scores", where)
    if not np.isfinite(answer["score"]).all():
        raise _strange("a score is not finite", where)
    if known is None:
        return
    for item in answer["item_id"].ravel().tolist():
        if str(item) not in known:
            raise _strange(f"item {str(item)[:80]!r} is not one of the export's", where)


def _strange(what: str, where: str) -> ServingError:
    return ServingError("INTERNAL", f"The answer is not the model's: {what}", where)


_NAMES = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64"}


def signatures_of(served: Mapping[str, Any]) -> Signatures:
    """Returns `{signature: {"inputs": {name: {"dtype": .., "shape": ..}}, "outputs": ..}}`.

    Args:
        served: A `SignatureDefMap` as JSON has it. In the shapes returned None is any size, and a
            shape of None any rank.
    """
    return {
        name: {way: _tensors(signature.get(way, {})) for way in ("inputs", "outputs")}
        for name, signature in sorted(served["signature_def"].items())
        if not name.startswith("__")  # For example __saved_model_init_op.
    }


def _tensors(infos: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: _tensor(info) for name, info in sorted(infos.items())}


def _tensor(info: Mapping[str, Any]) -> dict[str, Any]:
    shape = info.get("tensor_shape", {})
    # JSON leaves out zeros, and writes int64 as strings.
    sizes = [int(dim.get("size", 0)) for dim in shape.get("dim", [])]
    dtype = info["dtype"]
    return {
        "dtype": _NAMES.get(dtype, dtype.removeprefix("DT_").lower()),
        "shape": None
        if shape.get("unknown_rank")
        else [None if size < 0 else size for size in sizes],
    }
