"""Codes of items for product quantisation: from the interactions of a log, or from vectors."""

from __future__ import annotations

import numpy as np

# Directions beside the wanted ones, and rounds: enough for singular vectors to settle.
_MORE, _ROUNDS = 8, 4
# Of k-means: rounds, the vectors of each centroid that it looks at, and those compared at once.
_MEANS_ROUNDS, _MEANS_SAMPLE, _AT_ONCE = 25, 256, 1 << 16
# Of a factor's standard deviation: it orders equal items at random.
_NOISE = 1e-3


def svd_codes(
    users: np.ndarray, items: np.ndarray, num_items: int, length: int, num_centroids: int
) -> np.ndarray:
    """Returns the codes of RecJPQ's SVD strategy.

    A truncated singular value decomposition of the matrix of users and items gives each item
    `length` factors. Each factor is cut into `num_centroids` bins of equally many items, after a
    little noise, and an item's code is the number of its bin: items whom the same users like share
    codes. The result is the same for the same log.

    Source: Petrov and Macdonald, "RecJPQ: training large-catalogue sequential recommenders", WSDM
    2024, section 4.2. The decomposition is by subspace iteration (Halko, Martinsson and Tropp,
    "Finding structure with randomness", SIAM Review 2011, algorithm 4.4).

    Args:
        users: `[N]` user of each interaction, 0 or more.
        items: `[N]` item of each interaction, 0 to num_items - 1.
        num_items: Number of items, n.
        length: Codes of an item, m.
        num_centroids: Different codes, at most 256.

    Returns:
        `[n, m]` uint8.

    Example:
        >>> users, items = np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3])
        >>> svd_codes(users, items, 4, length=1, num_centroids=2).shape
        (4, 1)
    """
    rng = np.random.default_rng(0)
    factors = np.zeros((num_items, length))
    found = _item_factors(users, items, num_items, length, rng)
    factors[:, : found.shape[1]] = found
    spread = factors.std(axis=0)
    factors += rng.normal(size=factors.shape) * np.where(spread > 0, _NOISE * spread, 1.0)
    ranks = factors.argsort(axis=0).argsort(axis=0)
    return (ranks * num_centroids // num_items).astype(np.uint8)


def _item_factors(
    users: np.ndarray, items: np.ndarray, num_items: int, size: int, rng: np.random.Generator
) -> np.ndarray:
    """The right singular vectors of the `size` largest singular values, `[n, at most size]`."""
    num_users = int(users.max(initial=-1)) + 1
    if not num_users:
        return np.zeros((num_items, 0))
    width = min(size + _MORE, num_items, num_users)
    basis = rng.normal(size=(num_items, width))
    for _ in range(_ROUNDS):
        of_users = _product(users, items, basis, num_users)
        basis, _ = np.linalg.qr(_product(items, users, of_users, num_items))
    _, _, rotation = np.linalg.svd(_product(users, items, basis, num_users), full_matrices=False)
    return basis @ rotation.T[:, :size]


def _product(rows: np.ndarray, columns: np.ndarray, dense: np.ndarray, size: int) -> np.ndarray:
    """The product of the sparse matrix that counts pairs (row, column) and a dense one."""
    # One column at a time: a gather of all would need 8 numbers for each interaction and column.
    each = [np.bincount(rows, weights=column[columns], minlength=size) for column in dense.T]
    return np.stack(each, axis=1)


def kmeans_codes(
    vectors: np.ndarray, length: int, num_centroids: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the product quantisation of vectors.

    Each vector is cut into `length` sub-vectors, whose centroids are the means of k-means. The
    result is the same for the same vectors.

    Source: Jegou, Douze and Schmid, "Product quantization for nearest neighbor search", TPAMI 2011.

    Args:
        vectors: `[n, d]`; `length` divides d.
        length: Codes of a vector, m.
        num_centroids: Centroids of each sub-vector, c, at most 256.

    Returns:
        Codes `[n, m]` uint8, and float32 centroids `[m * c, d / m]`, those of the first sub-vector
        first.

    Example:
        >>> codes, centroids = kmeans_codes(np.array([[0.0, 5], [1, 5], [0, 7]]), 2, 2)
        >>> np.concatenate([centroids[codes[:, 0]], centroids[2 + codes[:, 1]]], axis=1).tolist()
        [[0.0, 5.0], [1.0, 5.0], [0.0, 7.0]]
    """
    rng = np.random.default_rng(0)
    parts = np.split(np.asarray(vectors, np.float32), length, axis=1)
    found = [_kmeans(part, num_centroids, rng) for part in parts]
    codes = np.stack([codes for codes, _ in found], axis=1).astype(np.uint8)
    return codes, np.concatenate([centroids for _, centroids in found])


def _kmeans(
    points: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The number of each point's centroid, and the centroids."""
    few = rng.permutation(len(points))[: _MEANS_SAMPLE * count]
    sample = points[few]
    # Of fewer points than centroids some are there twice.
    centroids = sample[np.arange(count) % len(sample)]
    for _ in range(_MEANS_ROUNDS):
        nearest, distance = _nearest(sample, centroids)
        sizes = np.bincount(nearest, minlength=count)
        sums = [np.bincount(nearest, weights=x, minlength=count) for x in sample.T]
        centroids = (np.stack(sums, axis=1) / np.maximum(sizes, 1)[:, np.newaxis]).astype(
            np.float32
        )
        # A centroid without points moves to a point that is far from its own.
        empty = np.flatnonzero(sizes == 0)
        centroids[empty] = sample[np.argsort(-distance, kind="stable")[: len(empty)]][
            np.arange(len(empty)) % len(sample)
        ]
    return _nearest(points, centroids)[0], centroids


def _nearest(points: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest centroid of each point, and the squared distance but for the rounding."""
    lengths = np.square(centroids).sum(axis=1)
    nearest, distance = np.empty(len(points), np.int64), np.empty(len(points), np.float32)
    for start in range(0, len(points), _AT_ONCE):
        block = points[start : start + _AT_ONCE]
        apart = lengths - 2 * block @ centroids.T
        rows = slice(start, start + len(block))
        nearest[rows] = apart.argmin(axis=1)
        distance[rows] = apart.min(axis=1) + np.square(block).sum(axis=1)
    return nearest, distance
