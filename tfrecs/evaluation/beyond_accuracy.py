"""What the recommended lists are like, apart from whether they hit: coverage, novelty, popularity.

All functions take `top_items`, the item ids recommended to each user, `[num_users, k]`; 0 stands
where a list is shorter than k. `item_counts[i]` is how often item i stands in the training part,
`[num_items + 2]`, the entries of padding (0) and of the out-of-vocabulary id last and first.
"""

from __future__ import annotations

import numpy as np


def coverage(top_items: np.ndarray, num_items: int) -> float:
    """Coverage@k: the share of the catalogue that is recommended to at least one user.

    Source: catalog coverage of Ge, Delgado-Battenfeld and Jannach, RecSys 2010.

    Args:
        top_items: Recommended item ids, `[num_users, k]`, 0 where there is none.
        num_items: Size of the catalogue.

    Returns:
        A number from 0 to 1. It grows with the number of users.

    Example:
        >>> coverage(np.array([[1, 2], [2, 3]]), num_items=6)
        0.5
    """
    recommended = np.bincount(np.ravel(top_items), minlength=num_items + 1) > 0
    return float(recommended[1:].sum() / num_items)


def self_information(item_counts: np.ndarray) -> np.ndarray:
    """Surprise of each item under training popularity, in bits: -log2 of its share of the log.

    An item never seen in training counts as one seen once, since its surprise would be infinite.

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
    """Novelty@k: mean self-information of the recommended items.

    Novelty = 1/|L| * sum over i in L of -log2 p(i), p(i) = the item's share of all training
    interactions. Source: Zhou et al., PNAS 2010 (mean self-information), with p(i) as in Vargas and
    Castells, RecSys 2011, eq. 8 (popularity-based novelty).

    Args:
        top_items: Recommended item ids, `[num_users, k]`, 0 where there is none.
        item_counts: Training interactions by item id, `[num_items + 2]`.

    Returns:
        Float64 `[num_users]`, in bits. 0 for an empty list.

    Example:
        Item 1 has 6 of 8 interactions, item 2 has 2: (0.415 + 2) / 2 = 1.2075.

        >>> novelty(np.array([[1, 2], [2, 0]]), np.array([0, 6, 2, 0, 0])).round(4)
        array([1.2075, 2.    ])
    """
    return _list_means(top_items, self_information(item_counts))


def relative_popularity(item_counts: np.ndarray) -> np.ndarray:
    """Training count of each item over the mean count of the catalogue.

    Args:
        item_counts: Training interactions by item id, `[num_items + 2]`.

    Returns:
        Float64 `[num_items + 2]`; 0 for padding and out of vocabulary.

    Example:
        >>> relative_popularity(np.array([0, 6, 2, 1, 0]))
        array([0.        , 2.        , 0.66666667, 0.33333333, 0.        ])
    """
    counts = np.array(item_counts, np.float64)
    counts[[0, -1]] = 0
    return counts * (len(counts) - 2) / max(counts.sum(), 1.0)


def popularity_bias(top_items: np.ndarray, item_counts: np.ndarray) -> np.ndarray:
    """PopularityBias@k: how many times as popular as the average item the recommended ones are.

    The average recommendation popularity, ARP = 1/|U| * sum over users of the mean training count
    of their recommended items (Abdollahpouri, Burke and Mobasher, FLAIRS 2019), divided by the mean
    training count of the catalogue, so that logs of different sizes compare: a recommender that
    draws from the whole catalogue at random has 1.

    Args:
        top_items: Recommended item ids, `[num_users, k]`, 0 where there is none.
        item_counts: Training interactions by item id, `[num_items + 2]`.

    Returns:
        Float64 `[num_users]`. 0 for an empty list.

    Example:
        The catalogue's mean count is 3; the first list's mean is (6 + 2) / 2 = 4.

        >>> popularity_bias(np.array([[1, 2], [3, 0]]), np.array([0, 6, 2, 1, 0])).round(4)
        array([1.3333, 0.3333])
    """
    return _list_means(top_items, relative_popularity(item_counts))


def _list_means(top_items: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Mean of the items' values in each list, where padding has the value 0."""
    return values[top_items].sum(axis=1) / np.maximum((top_items > 0).sum(axis=1), 1)
