"""Which items each user's targets are ranked among.

The rules, in one place:

* Each target is ranked among a *pool* of distinct items, the user's other targets included.
* Full ranking: the pool is the whole catalogue. With `mask_seen`, items of the user's history
  leave it, except a target that stands in the history too (an item consumed again): it stays in
  the pool, as it could not be recommended otherwise.
* Given candidates (such as the 1 + 99 protocol): the pool is the candidates of the user's row and
  the targets. 0 is padding. A candidate that repeats, or equals a target, counts once. The history
  masks nothing: what is given is ranked.
* A target that stands twice in a row is one target.

What these rules take out is counted, and said in the report.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tfrecs.data import EvaluationSet, Histories


@dataclasses.dataclass(frozen=True)
class Pools:
    """The targets of each user and the items they are ranked among.

    Attributes:
        num_items: Size of the catalogue.
        targets: Distinct targets of each user, rising ids.
        seen: Items of the catalogue that are not in the user's pool, rising ids. Empty rows where
            candidates are given.
        candidates: Distinct given candidates without the targets, rising ids; None for full
            ranking.
        counts: What the rules removed or kept, by name.
    """

    num_items: int
    targets: Histories
    seen: Histories
    candidates: Histories | None
    counts: dict[str, int]

    @classmethod
    def of(cls, dataset: EvaluationSet, mask_seen: bool = True) -> Pools:
        """The pools of an evaluation set.

        Args:
            dataset: Users, their histories, targets and perhaps candidates.
            mask_seen: Whether items of the history leave the pool (full ranking only).

        Returns:
            Pools of the same users in the same order.

        Raises:
            ValueError: If there is no user, a target is not an item of the catalogue, or a
                candidate is neither that nor padding.
        """
        n, users = len(dataset.items), len(dataset)
        if not users:
            raise ValueError(f"Nothing to evaluate: {dataset.name or 'the set'} has no users.")
        _check_ids("targets", dataset.targets.values, 1, n, "Leave such targets out.")
        targets = _keys(dataset.targets, n)
        counts = {"duplicate_targets": len(dataset.targets.values) - len(targets)}
        history = _keys(dataset.history, n)
        repeated = np.isin(history, targets, assume_unique=True)
        counts["targets_in_history"] = int(repeated.sum())
        seen, candidates = history[:0], None
        if dataset.candidates is not None:
            _check_ids("candidates", dataset.candidates, 0, n, "0 stands for no candidate.")
            given = Histories(
                dataset.candidates.ravel(), np.arange(users + 1) * dataset.candidates.shape[1]
            )
            distinct = _keys(given, n)
            extra = distinct[~np.isin(distinct, targets, assume_unique=True)]
            counts["duplicate_candidates"] = int((given.values > 0).sum()) - len(distinct)
            counts["candidates_equal_target"] = len(distinct) - len(extra)
            candidates = _rows(extra, n, users)
        elif mask_seen:
            seen = history[~repeated]
        return cls(n, _rows(targets, n, users), _rows(seen, n, users), candidates, counts)

    @property
    def sizes(self) -> np.ndarray:
        """How many items each user's targets are ranked among, the targets included; int64."""
        if self.candidates is not None:
            return self.candidates.lengths + self.targets.lengths
        return self.num_items - self.seen.lengths

    def __len__(self) -> int:
        return len(self.targets)


def _keys(rows: Histories, n: int) -> np.ndarray:
    """The distinct (row, item) of items 1..n as sorted numbers row * (n + 1) + item."""
    inside = (rows.values >= 1) & (rows.values <= n)
    keys = np.sort((rows.rows * (n + 1) + rows.values)[inside])
    return keys[np.append(True, keys[1:] != keys[:-1])[: len(keys)]]


def _rows(keys: np.ndarray, n: int, users: int) -> Histories:
    """The rows of items that `_keys` made numbers of."""
    offsets = np.searchsorted(keys, np.arange(users + 1) * (n + 1))
    return Histories(keys % (n + 1), offsets)


def _check_ids(what: str, ids: np.ndarray, low: int, n: int, remedy: str) -> None:
    outside = (ids < low) | (ids > n)
    if outside.any():
        raise ValueError(
            f"{int(outside.sum())} {what} are no items of the catalogue, the first is "
            f"{ids[outside][0]}: ids go from 1 to {n}. {remedy}"
        )
