"""The one split and the one evaluator of all trainers that are compared; needs numpy alone.

It knows a trainer by two functions: histories to state vectors, and the vectors of all items.
"""

import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Histories = Sequence[np.ndarray]
Encoder = Callable[[Histories], np.ndarray]


@dataclass(frozen=True)
class Split:
    """Leave-last-out: a user's last item is for the test, the one before it for validation.

    Item ids are `1..num_items`, in the order of the raw ids.
    """

    items: np.ndarray  # The raw id of item `i + 1` at place `i`.
    train: list[np.ndarray]  # One row a user, in time order.
    validation: np.ndarray  # One target a user; its history is the row.
    test: np.ndarray  # One target a user; its history is the row and the validation target.

    @property
    def num_items(self) -> int:
        return len(self.items)

    def test_histories(self) -> list[np.ndarray]:
        return [np.append(row, last) for row, last in zip(self.train, self.validation, strict=True)]

    def num_targets(self, max_length: int) -> int:
        """Returns the training targets an epoch: all of a row but its first, up to `max_length`."""
        return int(sum(min(len(row) - 1, max_length) for row in self.train))


def read(path: str | Path) -> Split:
    return leave_last_out(read_rows(path))


def read_rows(path: str | Path) -> list[np.ndarray]:
    """Reads raw item ids of each user in time order; lines are `user item` or `user item item ..`.

    The file may be gzipped. Users are in the order of their first line.
    """
    unzip = gzip.open if str(path).endswith(".gz") else open
    rows: dict[str, list[str]] = {}
    with unzip(path, "rt", encoding="utf-8") as lines:
        for user, *items in filter(None, map(str.split, lines)):
            rows.setdefault(user, []).extend(items)
    return [np.array(row, np.int64) for row in rows.values()]


def leave_last_out(rows: Histories) -> Split:
    """Splits raw item ids of each user, three or more, in time order."""
    if min(len(row) for row in rows) < 3:
        raise ValueError("leave-last-out needs three or more items a user: filter the log first")
    items, dense = np.unique(np.concatenate(rows), return_inverse=True)
    ends = np.cumsum([len(row) for row in rows])[:-1]
    numbered = np.split((dense + 1).astype(np.int32), ends)
    validation, test = (np.array([row[place] for row in numbered]) for place in (-2, -1))
    return Split(items, [row[:-2] for row in numbered], validation, test)


def padded(histories: Histories, length: int, padding: int = 0) -> np.ndarray:
    """Returns histories as int64 `[rows, length]`, padded left, their most recent items kept."""
    table = np.full((len(histories), length), padding, np.int64)
    for row, history in zip(table, histories, strict=True):
        row[max(length - len(history), 0) :] = history[-length:]
    return table


def ranks(
    states: np.ndarray, vectors: np.ndarray, seen: Histories, targets: np.ndarray, batch_size=512
) -> np.ndarray:
    """Ranks each user's target, from 1, among all items that the user has not seen.

    A tie counts against the target, which is a candidate even if seen. Row `i` of `vectors` is of
    item `i + 1`; a row of NaN is an item that the trainer cannot score, and comes last.
    """
    if not np.isfinite(states).all():
        raise ValueError("a state vector is not finite: the training diverged")
    unknown = np.isnan(vectors).any(axis=1)
    table = np.where(unknown[:, None], 0, vectors).astype(np.float32).T
    result = np.empty(len(targets), np.int64)
    for start in range(0, len(targets), batch_size):
        rows = slice(start, start + batch_size)
        scores = states[rows].astype(np.float32) @ table
        scores[:, unknown] = -np.inf
        user = np.arange(len(scores))
        target = scores[user, targets[rows] - 1]
        lengths = [len(row) for row in seen[rows]]
        scores[np.repeat(user, lengths), np.concatenate(seen[rows]) - 1] = -np.inf
        scores[user, targets[rows] - 1] = target
        result[rows] = (scores >= target[:, None]).sum(axis=1)
    return result


def metrics(ranks_of_targets: np.ndarray, k: int = 10) -> dict[str, float]:
    """Returns HR@k, the share of ranks up to k, and NDCG@k, of one target a user."""
    gains = np.where(ranks_of_targets <= k, 1 / np.log2(ranks_of_targets + 1), 0)
    return {f"HR@{k}": float((ranks_of_targets <= k).mean()), f"NDCG@{k}": float(gains.mean())}


def evaluate(split: Split, encode: Encoder, vectors: np.ndarray, part: str) -> dict[str, float]:
    """Returns HR@10 and NDCG@10 of "validation" or "test": full ranking, seen items masked."""
    histories = split.train if part == "validation" else split.test_histories()
    return metrics(ranks(encode(histories), vectors, histories, getattr(split, part)))
