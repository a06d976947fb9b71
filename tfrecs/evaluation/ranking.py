"""The ranks that a model gives targets, and the pools of items that targets are ranked among.

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
from collections.abc import Iterator

import numpy as np

from tfrecs.data import EvaluationSet, Histories
from tfrecs.data.features.events import inputs_of
from tfrecs.evaluation.contract import ItemScorer
from tfrecs.evaluation.counting import counter_of

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
        seen: Items outside the user's pool, rising ids; empty rows where candidates are given.
        candidates: Distinct candidates without the targets, rising ids; None for full ranking.
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
            ValueError: If there is no user, a target is no item, or a candidate neither item nor 0.
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
            width = dataset.candidates.shape[1]
            given = Histories(dataset.candidates.ravel(), np.arange(users + 1) * width)
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


@dataclasses.dataclass(frozen=True)
class Ranks:
    """The position of each target in its user's ranking.

    Attributes:
        ranks: int64 `[num_targets]`, from 1, all different for a user. Ties count against the
            target: every other item with its score stands before it, unless that is a target too.
            Targets that are never recommended have ranks of about `NEVER`, beyond any list.
        targets: The targets, a row a user; `ranks` runs parallel to `targets.values`.
        top_items: int32 `[num_users, k]`, the recommended items, best first, 0 where fewer are
            left; None where they were not asked for.
    """

    ranks: np.ndarray
    targets: Histories
    top_items: np.ndarray | None = None

    @property
    def offsets(self) -> np.ndarray:
        """Where each user's ranks begin, int64 `[num_users + 1]`."""
        return self.targets.offsets


def rank_targets(
    model: ItemScorer,
    dataset: EvaluationSet,
    pools: Pools,
    *,
    top: int = 0,
    batch_size: int | None = None,
) -> Ranks:
    """Ranks each target of a set within its pool by a model's scores.

    Users with histories of about the same length are scored together, so that little is padding.

    Args:
        model: Scores the items.
        dataset: The users.
        pools: The pools of the same set.
        top: How many recommended items to return a user; 0 for none. Full ranking only.
        batch_size: Users scored at once; None chooses.

    Raises:
        ValueError: If the model knows other items than the set, or a score is not finite.

    Example:
        ```python
        ranks = rank_targets(model, split.test, Pools.of(split.test), top=10)
        (ranks.ranks <= 10).mean()
        ```
    """
    _check_items(model, dataset)
    counter = counter_of(model)
    vectors = counter.item_vectors()
    widths = dataset.history.lengths
    if model.max_history is not None:
        widths = np.minimum(widths, model.max_history)
    ranked = pools.ranked_targets
    counts = np.empty(len(ranked.values), np.int64)
    top_items = np.zeros((len(pools), top), np.int32)
    num_bad = num_scores = 0
    for rows in _batches(ranked, widths, batch_size or _batch_size(pools)):
        features = {"user_id": dataset.user_ids[rows]}
        if model.max_history is not None:
            width = max(widths[rows].max(), 1)
            features["history"] = dataset.history.padded(rows, width)
            if (events := inputs_of(model)) is not None:
                features |= dataset.event_features(rows, width, events)
        targets, slots = _targets(ranked, rows)
        if pools.candidates is None:
            seen = pools.seen.padded(rows, pools.seen.lengths[rows].max())
            found, items, bad = counter.in_catalogue(features, vectors, targets, seen, top)
            num_scores += len(rows) * pools.num_items
            top_items[rows] = items.numpy()
        else:
            candidates = pools.candidates.padded(rows, pools.candidates.lengths[rows].max())
            found, bad = counter.in_candidates(features, targets, candidates)
            num_scores += int(pools.sizes[rows].sum())
        counts[slots] = found.numpy()[targets > 0]
        num_bad += int(bad)
    if num_bad:
        raise ValueError(
            f"{num_bad} of the {num_scores} scores of {type(model).__name__} are NaN or infinite: "
            "no rank is right. Look for a learning rate that is too high, or a division by 0."
        )
    return ranks_of(counts, pools, top_items if top else None)


def ranks_of(counts: np.ndarray, pools: Pools, top_items: np.ndarray | None = None) -> Ranks:
    """Returns the ranks of all targets; `NEVER` or close to it for those outside their pool.

    `counts[i]` items score at least as high as target i of `pools.ranked_targets`.
    """
    every = np.full(len(pools.targets.values), NEVER)
    every[pools.ranked] = counts
    return Ranks(settle_ties(every, pools.targets), pools.targets, top_items)


def settle_ties(counts: np.ndarray, targets: Histories) -> np.ndarray:
    """Returns ranks that all differ for a user, from counts that are equal for equal scores.

    A count tells how many items score at least as high as a target. t targets with one score have
    the same count c; the worst order puts them last among that score, at c - t + 1 .. c.

    Example:
        >>> settle_ties(np.array([5, 2, 5, 5]), Histories.from_lists([[1, 2, 3], [4]]))
        array([4, 2, 5, 5])
    """
    order = np.lexsort((counts, targets.rows))
    users, ordered = targets.rows[order], counts[order]
    new = np.ones(len(order), bool)
    new[1:] = (users[1:] != users[:-1]) | (ordered[1:] != ordered[:-1])
    starts = np.flatnonzero(new)
    sizes = np.diff(np.append(starts, len(order)))
    ranks = np.empty_like(counts)
    place = np.arange(len(order)) - np.repeat(starts, sizes) + 1
    ranks[order] = ordered - np.repeat(sizes, sizes) + place
    return ranks


def _batches(targets: Histories, widths: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yields rows of users with like histories; in each batch, those with more targets first."""
    order = np.argsort(widths, kind="stable")
    for start in range(0, len(order), size):
        rows = order[start : start + size]
        yield rows[np.argsort(-targets.lengths[rows], kind="stable")]


def _batch_size(pools: Pools) -> int:
    """Returns a size for which a block of scores, or of candidates' vectors, stays small."""
    full = pools.candidates is None
    size = 2**23 // pools.num_items if full else 2**17 // max(pools.sizes.max(), 1)
    return int(np.clip(size, 8, 512))


def _targets(targets: Histories, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows' targets, padded on the right, and their places in `targets.values`."""
    place = np.arange(max(targets.lengths[rows].max(), 1))
    inside = place < targets.lengths[rows][:, None]
    slots = (targets.offsets[rows][:, None] + place)[inside]
    padded = np.zeros(inside.shape, np.int32)
    padded[inside] = targets.values[slots]
    return padded, slots


def _check_items(model: ItemScorer, dataset: EvaluationSet) -> None:
    """Refuses a model that numbers the items otherwise than the set."""
    name = type(model).__name__
    if model.num_items != len(dataset.items):
        raise ValueError(
            f"{name} scores {model.num_items} items, the evaluation set has {len(dataset.items)}. "
            "Evaluate a model on a split of the log whose vocabulary it was built with."
        )
    known = model.items
    if known is not None and known is not dataset.items and known != dataset.items:
        differ = np.flatnonzero(known.ids.astype(str) != dataset.items.ids.astype(str))
        item = differ[0] if len(differ) else 0
        raise ValueError(
            f"{name} was built with another vocabulary than the evaluation set's: its item "
            f"{item + 1} is {known.ids.tolist()[item]!r}, the set's "
            f"{dataset.items.ids.tolist()[item]!r}. Use one split for both."
        )
