"""The metrics of simple recommenders: by popularity, by the user's last items, and by chance.

A metric means little without them: HR@10 of 0.1 is much among a million items and little among 100.
All are computed exactly, without scoring anything.
"""

from __future__ import annotations

import numpy as np

from tfrecs.data import Histories
from tfrecs.evaluation.metrics import check_k, ideal_dcg, relative_popularity, self_information
from tfrecs.evaluation.ranking import NEVER, Pools, Ranks, ranks_of


def popularity_ranks(pools: Pools, item_counts: np.ndarray, *, top: int = 0) -> Ranks:
    """Returns the ranks of the targets among items ordered by their number of interactions.

    A model that scores items by their count gives the same ranks; ties count against the target.

    Args:
        pools: The targets and the items that they are ranked among.
        item_counts: Interactions by item id, `[num_items + 2]`, of the whole training part or of
            the last days alone (`PartTimes.recent_counts`).
        top: How many recommended items to return a user; 0 for none. Full ranking only.

    Example:
        ```python
        ranks = popularity_ranks(Pools.of(split.test), split.test.item_counts)
        (ranks.ranks <= 10).mean()
        ```
    """
    counts = np.asarray(item_counts, np.int64)
    targets = pools.ranked_targets
    own, rows = counts[targets.values], targets.rows
    if pools.candidates is None:
        catalogue = np.sort(counts[1:-1])
        at_least = len(catalogue) - np.searchsorted(catalogue, own)
        at_least = at_least - _at_least(pools.seen, counts, rows, own)
    else:
        at_least = _at_least(pools.candidates, counts, rows, own)
        at_least = at_least + _at_least(targets, counts, rows, own)
    return ranks_of(at_least, pools, _most_popular(pools.seen, counts, top) if top else None)


def last_items_ranks(pools: Pools, history: Histories, *, top: int = 0) -> Ranks:
    """Returns the ranks of the targets where each user gets the items of the history again.

    The most recent item comes first, and an item counts where it last stands. Items outside the
    history are not in the list, so such a target has a rank beyond any.

    Args:
        pools: The targets and the items that they are ranked among.
        history: The users' items, oldest first, in the rows of the pools.
        top: How many recommended items to return a user; 0 for none. Full ranking only.

    Raises:
        ValueError: If known items are not in the pools: nothing would be left to recommend.

    Example:
        ```python
        test = split.with_recommend_known().test
        ranks = last_items_ranks(Pools.of(test), test.history)
        (ranks.ranks <= 10).mean()
        ```
    """
    if not pools.recommend_known:
        raise ValueError(
            "last_items_ranks: these pools leave out known items, which are all that it recommends."
            " Use Pools.of(dataset, recommend_known=True)."
        )
    stride, targets = pools.num_items + 1, pools.targets
    history = history.keep((history.values >= 1) & (history.values <= pools.num_items))
    newest_first = Histories(history.values[::-1], history.offsets[-1] - history.offsets[::-1])
    lists = newest_first.distinct().take(np.arange(len(pools))[::-1])
    keys = lists.rows * stride + lists.values
    if pools.candidates is not None:
        pool = [rows.rows * stride + rows.values for rows in (pools.candidates, targets)]
        kept = np.isin(keys, np.concatenate(pool))
        lists, keys = lists.keep(kept), keys[kept]
    order = np.argsort(keys)
    wanted = targets.rows * stride + targets.values
    place = np.searchsorted(keys, wanted, sorter=order)
    found = np.append(keys[order], -1)[place] == wanted
    counts = np.full(len(wanted), NEVER)
    counts[found] = order[place[found]] - lists.offsets[targets.rows[found]] + 1
    if not top:
        return ranks_of(counts, pools)
    stops = np.minimum(lists.offsets[:-1] + top, lists.offsets[1:])
    filled = np.arange(top) < (stops - lists.offsets[:-1])[:, None]
    top_items = np.zeros(filled.shape, np.int32)
    top_items[filled] = lists.cut(lists.offsets[:-1], stops).values
    return ranks_of(counts, pools, top_items)


def random_metrics(
    sizes: np.ndarray, targets: np.ndarray, k: int, *, ranked: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Returns the expected metrics of a ranking drawn uniformly from all orders.

    A pool of C items holds m targets. Each position r <= min(k, C) holds a target with probability
    m / C, and holds the first one with probability

        q(r) = C(C - m, r - 1) / C(C, r - 1) * m / (C - r + 1).

    HR@k = sum of q(r) = 1 - C(C - m, k) / C(C, k); MRR@k = sum of q(r) / r. The expected DCG is
    m / C * sum of 1 / log2(1 + r), NDCG divides it by the ideal one. The expected precision at r,
    given a target there, is (1 + (r - 1)(m - 1) / (C - 1)) / r, hence
    MAP@k = 1/C * sum over r of it. Recall@k = min(k, C) / C and Precision@k = min(k, C) m / (C k).

    Of M targets only m may be in the pool: the ideal DCG then counts M, and MAP and Recall are
    smaller by m / M.

    Args:
        sizes: Pool sizes C, `[num_users]`.
        targets: Numbers of targets M, `[num_users]`, each at least 1.
        k: Length of the list.
        ranked: Numbers of targets in the pool m, at most M and C; None for all.

    Returns:
        Float64 `[num_users]` by metric: "HR", "NDCG", "MRR", "MAP", "Recall", "Precision".

    Example:
        One target among 100: HR@10 is 10 / 100, MRR@10 is (1 + 1/2 + ... + 1/10) / 100.

        >>> expected = random_metrics(np.array([100]), np.array([1]), k=10)
        >>> expected["HR"].round(6), expected["MRR"].round(6)
        (array([0.1]), array([0.02929]))
    """
    check_k(k)
    sizes, every = np.asarray(sizes, np.float64), np.asarray(targets, np.float64)
    m = every if ranked is None else np.asarray(ranked, np.float64)
    hit, reciprocal, gain, average = (np.zeros(len(sizes)) for _ in range(4))
    none_yet = np.ones(len(sizes))  # Probability that no target stands before position r.
    for r in range(1, min(k, int(sizes.max(initial=0))) + 1):  # Lists are no longer than pools.
        left = np.maximum(sizes - r + 1, 0)  # Items for position r, when r - 1 are placed.
        there = left > 0
        first = np.where(there, none_yet * m / np.maximum(left, 1), 0.0)
        hit += first
        reciprocal += first / r
        none_yet = np.maximum(none_yet - first, 0.0)
        gain += there / np.log2(1 + r)
        average += there * (1 + (r - 1) * (m - 1) / np.maximum(sizes - 1, 1)) / r
    share = m / np.maximum(sizes, 1)  # Of the pool; an empty one holds no target.
    shown = np.minimum(sizes, k)
    return {
        "HR": hit,
        "NDCG": share * gain / ideal_dcg(every, k),
        "MRR": reciprocal,
        "MAP": share * average / every,
        "Recall": share * shown / every,
        "Precision": share * shown / k,
    }


def random_lists(pools: Pools, item_counts: np.ndarray, k: int) -> dict[str, float]:
    """Returns the expected coverage, novelty and popularity bias of random lists.

    An item of a user's pool of C is in the list with probability min(k, C) / C. The product of the
    complements over the users is the probability that nobody gets the item.

    Args:
        pools: The items that may be recommended; full ranking only.
        item_counts: Training interactions by item id, `[num_items + 2]`.
        k: Length of the lists.

    Example:
        ```python
        random_lists(Pools.of(split.test), split.test.item_counts, k=10)["Coverage"]
        ```
    """
    n, seen = pools.num_items, pools.seen
    sizes = np.maximum(pools.sizes, 1)  # Where nothing is left, nothing is in a list either.
    # log(1 - k / C), where -50 stands for the logarithm of 0.
    missed = np.log(np.maximum(1 - np.minimum(k / sizes, 1), np.exp(-50)))
    by_item = np.bincount(seen.values, weights=missed[seen.rows], minlength=n + 1)[1:]
    never = np.exp(missed.sum() - by_item)
    pool_means = {}
    for name, values in (
        ("Novelty", self_information(item_counts)),
        ("PopularityBias", relative_popularity(item_counts)),
    ):
        outside = np.bincount(seen.rows, weights=values[seen.values], minlength=len(pools))
        pool_means[name] = float(((values.sum() - outside) / sizes).mean())
    return {"Coverage": float((1 - never).mean()), **pool_means}


def _at_least(pool: Histories, counts: np.ndarray, rows: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Counts the items of each given row of a pool that have at least the count `own`."""
    base = counts.max() + 1
    keys = np.sort(pool.rows * base + counts[pool.values])
    return pool.offsets[rows + 1] - np.searchsorted(keys, rows * base + own)


def _most_popular(seen: Histories, counts: np.ndarray, k: int) -> np.ndarray:
    """Returns each user's k most popular unseen items; of equal ones the lower id comes first."""
    n = len(counts) - 2
    order = np.argsort(-counts[1:-1], kind="stable")
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    # The seen place p_i, the i-th from 0, comes before unseen item j where p_i - i <= j.
    keys = np.sort(seen.rows * n + place[seen.values - 1])
    before = keys - seen.rows * n - (np.arange(len(keys)) - seen.offsets[seen.rows])
    early = before < k
    skips = np.bincount((seen.rows * k + before)[early], minlength=len(seen) * k)
    places = np.arange(k) + skips.reshape(len(seen), k).cumsum(axis=1)
    return np.where(places < n, order[np.minimum(places, n - 1)] + 1, 0).astype(np.int32)
