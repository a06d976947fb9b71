"""The items that each user's targets are ranked among.

* Each target is ranked among a *pool* of distinct items, which holds the user's other targets too.
  The pool is the whole catalogue or, given candidates (such as the 1 + 99 protocol), the candidates
  of the user's row and the targets. 0 is padding. A candidate that repeats, or equals a target,
  counts once.
* Unless `recommend_known`, the items of the user's history leave the pool, as they leave the
  answers of an export. A *repeated target* stands in the history too and leaves with it: it is
  never recommended, and its rank is `NEVER`.
* A target that stands twice in a row is one target.

The report counts the items that these rules take out.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tfrecs.data import EvaluationSet, Histories

# The rank of a target that is never recommended: beyond the end of any list.
NEVER = 2**62


@dataclasses.dataclass(frozen=True)
class Pools:
    """The targets of each user and the items they are ranked among.

    Attributes:
        num_items: Size of the catalogue.
        recommend_known: Whether known items stay in the pools.
        targets: Distinct targets of each user, rising ids.
        repeated: Which of them stand in the user's history, bool `[num_targets]`.
        seen: Items of the catalogue that are not in the user's pool, rising ids. Empty rows where
            candidates are given.
        candidates: Distinct given candidates without the targets, rising ids; None for full
            ranking.
        counts: How many items the rules removed, by name.
    """

    num_items: int
    recommend_known: bool
    targets: Histories
    repeated: np.ndarray
    seen: Histories
    candidates: Histories | None
    counts: dict[str, int]

    @classmethod
    def of(cls, dataset: EvaluationSet, recommend_known: bool | None = None) -> Pools:
        """Returns the pools of an evaluation set, for the same users in the same order.

        Args:
            dataset: Users, their histories, targets and perhaps candidates.
            recommend_known: Whether known items stay in the pools; None as the set says.

        Raises:
            ValueError: If there is no user, a target is no item of the catalogue, or a candidate is
                neither an item nor padding.
        """
        if recommend_known is None:
            recommend_known = dataset.recommend_known
        n, users = len(dataset.items), len(dataset)
        if not users:
            raise ValueError(f"Nothing to evaluate: {dataset.name or 'the set'} has no users.")
        _check_ids("targets", dataset.targets.values, 1, n, "Leave such targets out.")
        targets = _keys(dataset.targets, n)
        counts = {"duplicate_targets": len(dataset.targets.values) - len(targets)}
        history = _keys(dataset.history, n)
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
            if not recommend_known:
                unknown = extra[~np.isin(extra, history, assume_unique=True)]
                counts["known_candidates"] = len(extra) - len(unknown)
                extra = unknown
            candidates = _rows(extra, n, users)
        elif not recommend_known:
            seen = history
        return cls(
            num_items=n,
            recommend_known=recommend_known,
            targets=_rows(targets, n, users),
            repeated=np.isin(targets, history, assume_unique=True),
            seen=_rows(seen, n, users),
            candidates=candidates,
            counts=counts,
        )

    @property
    def ranked(self) -> np.ndarray:
        """Which targets are in their user's pool, bool `[num_targets]`."""
        return np.full_like(self.repeated, True) if self.recommend_known else ~self.repeated

    @property
    def ranked_targets(self) -> Histories:
        """The targets that are in their user's pool."""
        return self.targets.keep(self.ranked)

    @property
    def sizes(self) -> np.ndarray:
        """The number of items in each pool, int64."""
        if self.candidates is not None:
            return self.candidates.lengths + self.ranked_targets.lengths
        return self.num_items - self.seen.lengths

    def __len__(self) -> int:
        return len(self.targets)


def _keys(rows: Histories, n: int) -> np.ndarray:
    """Returns the distinct (row, item) of items 1..n as sorted numbers row * (n + 1) + item."""
    inside = (rows.values >= 1) & (rows.values <= n)
    keys = np.sort((rows.rows * (n + 1) + rows.values)[inside])
    return keys[np.append(True, keys[1:] != keys[:-1])[: len(keys)]]


def _rows(keys: np.ndarray, n: int, users: int) -> Histories:
    """Undoes `_keys`."""
    offsets = np.searchsorted(keys, np.arange(users + 1) * (n + 1))
    return Histories(keys % (n + 1), offsets)


def _check_ids(what: str, ids: np.ndarray, low: int, n: int, remedy: str) -> None:
    outside = (ids < low) | (ids > n)
    if outside.any():
        raise ValueError(
            f"{int(outside.sum())} {what} are no items of the catalogue, the first is "
            f"{ids[outside][0]}: ids go from 1 to {n}. {remedy}"
        )
