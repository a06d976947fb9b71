"""Ranking metrics at k, from the ranks that the targets reached.

Every function takes the ranks of all users' targets as one flat array and gives one value a user;
a metric is the mean of them. `ranks[j]` is a position in the user's ranking, 1 the best. With one
target a user that is all. With several, user u's ranks are `ranks[offsets[u]:offsets[u + 1]]`, all
different, in any order.

With one target a user: Recall = HR, MAP = MRR and Precision@k = HR@k / k.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Integral
from typing import Any

import numpy as np


def hit_rate(ranks: np.ndarray, k: int, offsets: np.ndarray | None = None) -> np.ndarray:
    """HR@k: whether at least one target is among the first k.

    HR@k = 1 if min(ranks) <= k, else 0.

    Args:
        ranks: Ranks of the targets, `[num_targets]`, from 1.
        k: Length of the list.
        offsets: Where each user's targets begin, `[num_users + 1]`; None means one a user.

    Returns:
        Float64 `[num_users]`.

    Raises:
        ValueError: If `k` or a rank is below 1, or a user has no target.

    Example:
        The first user's target stands 3rd, the second user's 12th.

        >>> hit_rate(np.array([3, 12]), 10)
        array([1., 0.])
        >>> hit_rate(np.array([3, 12]), 10, offsets=np.array([0, 2]))
        array([1.])
    """
    ranks, starts, _ = _checked(ranks, k, offsets)
    return (np.minimum.reduceat(ranks, starts) <= k).astype(np.float64)


def ndcg(ranks: np.ndarray, k: int, offsets: np.ndarray | None = None) -> np.ndarray:
    """NDCG@k: discounted gain of the targets among the first k, over the best possible.

    NDCG@k = DCG@k / IDCG@k, DCG@k = sum of 1 / log2(1 + rank) over targets with rank <= k, and
    IDCG@k = sum of 1 / log2(1 + i) for i = 1 .. min(k, number of targets).
    Source: Järvelin and Kekäläinen, TOIS 2002, with relevance 0 or 1.

    Args:
        ranks: Ranks of the targets, `[num_targets]`, from 1.
        k: Length of the list.
        offsets: Where each user's targets begin, `[num_users + 1]`; None means one a user.

    Returns:
        Float64 `[num_users]`.

    Raises:
        ValueError: If `k` or a rank is below 1, or a user has no target.

    Example:
        1 / log2(1 + 3) = 0.5. With targets at 1 and 3: (1 + 0.5) / (1 + 0.6309) = 0.9197.

        >>> ndcg(np.array([3, 12]), 10)
        array([0.5, 0. ])
        >>> ndcg(np.array([1, 3]), 10, offsets=np.array([0, 2])).round(4)
        array([0.9197])
    """
    ranks, starts, sizes = _checked(ranks, k, offsets)
    gains = np.where(ranks <= k, 1 / np.log2(1.0 + ranks), 0.0)
    return np.add.reduceat(gains, starts) / ideal_dcg(sizes, k)


def mrr(ranks: np.ndarray, k: int, offsets: np.ndarray | None = None) -> np.ndarray:
    """MRR@k: the reciprocal rank of the first target, 0 if that is beyond k.

    Args:
        ranks: Ranks of the targets, `[num_targets]`, from 1.
        k: Length of the list.
        offsets: Where each user's targets begin, `[num_users + 1]`; None means one a user.

    Returns:
        Float64 `[num_users]`.

    Raises:
        ValueError: If `k` or a rank is below 1, or a user has no target.

    Example:
        >>> mrr(np.array([4, 12]), 10)
        array([0.25, 0.  ])
        >>> mrr(np.array([4, 2]), 10, offsets=np.array([0, 2]))
        array([0.5])
    """
    ranks, starts, _ = _checked(ranks, k, offsets)
    first = np.minimum.reduceat(ranks, starts)
    return np.where(first <= k, 1 / first, 0.0)


def average_precision(ranks: np.ndarray, k: int, offsets: np.ndarray | None = None) -> np.ndarray:
    """AP@k: the precision at each target among the first k, over the number of targets.

    AP@k = 1/m * sum over targets with rank r <= k of (targets with rank <= r) / r, for m targets;
    MAP@k is its mean. It divides by m as trec_eval and ranx do, not by min(m, k) as some do.

    Args:
        ranks: Ranks of the targets, `[num_targets]`, from 1.
        k: Length of the list.
        offsets: Where each user's targets begin, `[num_users + 1]`; None means one a user.

    Returns:
        Float64 `[num_users]`.

    Raises:
        ValueError: If `k` or a rank is below 1, or a user has no target.

    Example:
        Targets at 2, 4 and 30: (1/2 + 2/4) / 3 = 1/3.

        >>> average_precision(np.array([30, 2, 4]), 10, offsets=np.array([0, 3])).round(4)
        array([0.3333])
    """
    ranks, starts, sizes = _checked(ranks, k, offsets)
    # The targets in the order of their ranks: the i-th one of a user has i targets up to it.
    ranks = ranks[np.lexsort((ranks, np.repeat(np.arange(len(starts)), sizes)))]
    hits = np.arange(len(ranks)) - np.repeat(starts, sizes) + 1
    return np.add.reduceat(np.where(ranks <= k, hits / ranks, 0.0), starts) / sizes


def recall(ranks: np.ndarray, k: int, offsets: np.ndarray | None = None) -> np.ndarray:
    """Recall@k: the share of the targets that is among the first k.

    Args:
        ranks: Ranks of the targets, `[num_targets]`, from 1.
        k: Length of the list.
        offsets: Where each user's targets begin, `[num_users + 1]`; None means one a user.

    Returns:
        Float64 `[num_users]`.

    Raises:
        ValueError: If `k` or a rank is below 1, or a user has no target.

    Example:
        >>> recall(np.array([3, 12, 8, 40]), 10, offsets=np.array([0, 4]))
        array([0.5])
    """
    ranks, starts, sizes = _checked(ranks, k, offsets)
    return np.add.reduceat((ranks <= k).astype(np.float64), starts) / sizes


def precision(ranks: np.ndarray, k: int, offsets: np.ndarray | None = None) -> np.ndarray:
    """Precision@k: the share of the first k that are targets.

    Divides by k also where a user has fewer than k targets, hence cannot reach 1.

    Args:
        ranks: Ranks of the targets, `[num_targets]`, from 1.
        k: Length of the list.
        offsets: Where each user's targets begin, `[num_users + 1]`; None means one a user.

    Returns:
        Float64 `[num_users]`.

    Raises:
        ValueError: If `k` or a rank is below 1, or a user has no target.

    Example:
        >>> precision(np.array([3, 12, 8, 40]), 10, offsets=np.array([0, 4]))
        array([0.2])
    """
    ranks, starts, _ = _checked(ranks, k, offsets)
    return np.add.reduceat((ranks <= k).astype(np.float64), starts) / k


def ideal_dcg(targets: np.ndarray, k: int) -> np.ndarray:
    """The DCG@k of a list that begins with all targets: sum of 1 / log2(1 + i), i to min(k, m).

    Args:
        targets: Numbers of targets m, `[num_users]`, each at least 1.
        k: Length of the list.

    Example:
        >>> ideal_dcg(np.array([1, 2, 5]), 2).round(4)
        array([1.    , 1.6309, 1.6309])
    """
    shown = np.minimum(np.asarray(targets, np.int64), k)
    return np.cumsum(1 / np.log2(2.0 + np.arange(shown.max())))[shown - 1]


RANK_METRICS: dict[str, Callable[..., np.ndarray]] = {
    "HR": hit_rate,
    "NDCG": ndcg,
    "MRR": mrr,
    "MAP": average_precision,
    "Recall": recall,
    "Precision": precision,
}


def check_metrics(names: Iterable[str]) -> None:
    """Refuses names that are no ranking metric.

    Args:
        names: Such as "HR" and "NDCG".

    Raises:
        ValueError: At the first that is not in `RANK_METRICS`.

    Example:
        >>> check_metrics(["HR", "NDCG"])
    """
    for name in names:
        if name not in RANK_METRICS:
            raise ValueError(f"{name!r} is no ranking metric; there are {', '.join(RANK_METRICS)}.")


def check_k(k: Any) -> int:
    """The length of a list as an int.

    Args:
        k: A positive whole number of any integer type.

    Raises:
        ValueError: If it is something else, such as 2.7, True or "10".

    Example:
        >>> check_k(np.int64(10))
        10
    """
    if isinstance(k, bool | np.bool_) or not isinstance(k, Integral) or k < 1:
        raise ValueError(f"k is the length of a list, a whole number of at least 1; got {k!r}.")
    return int(k)


def _checked(
    ranks: np.ndarray, k: int, offsets: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ranks, where each user's begin, and how many there are: all in order."""
    check_k(k)
    ranks = np.asarray(ranks)
    offsets = np.arange(len(ranks) + 1) if offsets is None else np.asarray(offsets)
    sizes = np.diff(offsets)
    if ranks.ndim != 1 or not len(ranks) or offsets[0] != 0 or offsets[-1] != len(ranks):
        raise ValueError(
            f"Ranks are one flat array and offsets rise from 0 to its length, got ranks of shape "
            f"{ranks.shape} and offsets {offsets[0]} to {offsets[-1]}."
        )
    if ranks.min() < 1:
        raise ValueError(f"Ranks count from 1, got {ranks.min()}.")
    if sizes.min() < 1:
        raise ValueError(
            f"Every user needs a target, user {sizes.argmin()} has none: leave it out."
        )
    return ranks, offsets[:-1], sizes
