"""Checks the answers of a server, which may be another program or a broken one."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from tfrecs.serving.serving_error import ServingError

# The most bytes of an answer: some millions of scores.
LARGEST = 1 << 28


@contextlib.contextmanager
def understood(where: str) -> Iterator[None]:
    """Turns any error in reading an answer into a fault of the server.

    Args:
        where: The server.

    Raises:
        ServingError: If the answer does not have the form of TensorFlow Serving.
    """
    try:
        yield
    except ServingError:
        raise
    except Exception as error:  # Of a form that nobody foresaw, NumPy and JSON raise many kinds.
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
    """Refuses an answer that is not what the signature says.

    Args:
        answer: Arrays by the names of outputs.
        outputs: What the signature says of its outputs.
        rows: How many rows were asked for.
        where: The server.

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
