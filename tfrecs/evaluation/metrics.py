"""Metrics at k: of the ranks that targets reached, and of the recommended lists themselves.

A ranking metric takes the ranks of all users' targets as one flat array and gives one value a user;
the metric is their mean. `ranks[j]` is a position in the user's ranking, 1 the best. Where users
have several targets, user u's ranks are `ranks[offsets[u]:offsets[u + 1]]`, all different, in any
order. With one target a user Recall = HR, MAP = MRR and Precision@k = HR@k / k.

Coverage, novelty and popularity bias take the recommended item ids, `[num_users, k]`, 0 where a
list is shorter, and `item_counts`, the number of training interactions by item id,
`[num_items + 2]`. Its first entry is of padding, its last of the id out of vocabulary.
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
    Source: Järvelin and Kekäläinen, TOIS 2002, with relevance 0 or 1. Arguments as in `hit_rate`.

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
    """MRR@k: the reciprocal rank of the first target, 0 beyond k. Arguments as in `hit_rate`.

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
    Arguments as in `hit_rate`.

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
    """Recall@k: the share of the targets among the first k. Arguments as in `hit_rate`.

    Example:
        >>> recall(np.array([3, 12, 8, 40]), 10, offsets=np.array([0, 4]))
        array([0.5])
    """
    ranks, starts, sizes = _checked(ranks, k, offsets)
    return np.add.reduceat((ranks <= k).astype(np.float64), starts) / sizes


def precision(ranks: np.ndarray, k: int, offsets: np.ndarray | None = None) -> np.ndarray:
    """Precision@k: the share of the first k that are targets.

    It divides by k even for a user with fewer than k targets, who cannot reach 1. Arguments as in
    `hit_rate`.

    Example:
        >>> precision(np.array([3, 12, 8, 40]), 10, offsets=np.array([0, 4]))
        array([0.2])
    """
    ranks, starts, _ = _checked(ranks, k, offsets)
    return np.add.reduceat((ranks <= k).astype(np.float64), starts) / k


def ideal_dcg(targets: np.ndarray, k: int) -> np.ndarray:
    """Returns the DCG@k of lists that begin with all of their `targets` (numbers, from 1).

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
    """Raises a ValueError at the first name that is not in `RANK_METRICS`."""
    for name in names:
        if name not in RANK_METRICS:
            raise ValueError(f"{name!r} is no ranking metric; there are {', '.join(RANK_METRICS)}.")


def check_k(k: Any) -> int:
    """Returns the length of a list as an int; refuses others, such as 2.7, True or "10"."""
    if isinstance(k, bool | np.bool_) or not isinstance(k, Integral) or k < 1:
        raise ValueError(f"k is the length of a list, a whole number of at least 1; got {k!r}.")
    return int(k)


def _checked(
    ranks: np.ndarray, k: int, offsets: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns ranks, where each user's begin, and their numbers, once all are checked."""
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


def coverage(top_items: np.ndarray, num_items: int) -> float:
    """Coverage@k: the share of the catalogue that is recommended to at least one user.

    It grows with the number of users. Source: catalog coverage of Ge, Delgado-Battenfeld and
    Jannach, RecSys 2010.

    Args:
        top_items: Recommended item ids, `[num_users, k]`, 0 where there is none.
        num_items: Size of the catalogue.

    Example:
        >>> coverage(np.array([[1, 2], [2, 3]]), num_items=6)
        0.5
    """
    recommended = np.bincount(np.ravel(top_items), minlength=num_items + 1) > 0
    return float(recommended[1:].sum() / num_items)


def self_information(item_counts: np.ndarray) -> np.ndarray:
    """Returns the surprise of each item in bits, -log2 of its share of the training interactions.

    An item never seen in training counts as seen once: its surprise would be infinite.

    Args:
        item_counts: Training interactions by item id, `[num_items + 2]`.

    Returns:
        Float64 `[num_items + 2]`; 0 for padding and out of vocabulary.

    Example:
        >>> self_information(np.array([0, 6, 2, 0, 0]))[1:4].round(3)
        array([0.415, 2.   , 3.   ])
    """
    counts = np.array(item_counts, np.float64)
    counts[[0, -1]] = 0
    bits = np.log2(max(counts.sum(), 1.0) / np.maximum(counts, 1.0))
    bits[[0, -1]] = 0
    return bits


def novelty(top_items: np.ndarray, item_counts: np.ndarray) -> np.ndarray:
    """Novelty@k: mean self-information of the recommended items, in bits; 0 for an empty list.

    Novelty = 1/|L| * sum over i in L of -log2 p(i), p(i) = the item's share of all training
    interactions. Source: Zhou et al., PNAS 2010 (mean self-information), with p(i) as in Vargas and
    Castells, RecSys 2011, eq. 8 (popularity-based novelty).

    Args:
        top_items: Recommended item ids, `[num_users, k]`, 0 where there is none.
        item_counts: Training interactions by item id, `[num_items + 2]`.

    Returns:
        Float64 `[num_users]`.

    Example:
        Item 1 has 6 of 8 interactions, item 2 has 2: (0.415 + 2) / 2 = 1.2075.

        >>> novelty(np.array([[1, 2], [2, 0]]), np.array([0, 6, 2, 0, 0])).round(4)
        array([1.2075, 2.    ])
    """
    return _list_means(top_items, self_information(item_counts))


def relative_popularity(item_counts: np.ndarray) -> np.ndarray:
    """Returns each item's training count over the catalogue's mean; see `self_information`.

    Example:
        >>> relative_popularity(np.array([0, 6, 2, 1, 0]))
        array([0.        , 2.        , 0.66666667, 0.33333333, 0.        ])
    """
    counts = np.array(item_counts, np.float64)
    counts[[0, -1]] = 0
    return counts * (len(counts) - 2) / max(counts.sum(), 1.0)


def popularity_bias(top_items: np.ndarray, item_counts: np.ndarray) -> np.ndarray:
    """PopularityBias@k: the recommended items' popularity over the average item's.

    The average recommendation popularity, ARP = 1/|U| * sum over users of the mean training count
    of their recommended items (Abdollahpouri, Burke and Mobasher, FLAIRS 2019), is divided by the
    mean training count of the catalogue, so that logs of different sizes compare. A recommender
    that draws from the whole catalogue at random has 1. Arguments as in `novelty`.

    Example:
        The catalogue's mean count is 3; the first list's mean is (6 + 2) / 2 = 4.

        >>> popularity_bias(np.array([[1, 2], [3, 0]]), np.array([0, 6, 2, 1, 0])).round(4)
        array([1.3333, 0.3333])
    """
    return _list_means(top_items, relative_popularity(item_counts))


def _list_means(top_items: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the mean of the items' values in each list; padding has the value 0."""
    return values[top_items].sum(axis=1) / np.maximum((top_items > 0).sum(axis=1), 1)
