"""Chance, by resampling users: bootstrap intervals and a paired randomization test."""

from __future__ import annotations

import numpy as np

_CHUNK = 64  # Resamples held at once, so that memory stays at 64 numbers a user.


def bootstrap_means(values: np.ndarray, samples: int = 1000, seed: int = 0) -> np.ndarray:
    """Means over users drawn with replacement, the same users for every column.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993.

    Args:
        values: Each user's values, `[num_users, num_columns]`.
        samples: How often to draw.
        seed: The same seed draws the same users.

    Returns:
        Float64 `[samples, num_columns]`.

    Example:
        >>> means = bootstrap_means(np.array([[0.0], [1.0]]), samples=1000)
        >>> [float(q) for q in np.quantile(means, [0.025, 0.975])]
        [0.0, 1.0]
    """
    rng = np.random.default_rng(seed)
    users = len(values)
    means = np.empty((samples, values.shape[1]))
    for start in range(0, samples, _CHUNK):
        stop = min(start + _CHUNK, samples)
        # How often each user is drawn, so that all columns are one matrix product.
        times = np.array(
            [
                np.bincount(rng.integers(users, size=users), minlength=users)
                for _ in range(start, stop)
            ],
            np.float64,
        )
        means[start:stop] = times @ values / users
    return means


def bounds(means: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """The interval of each column that holds a share `level` of its bootstrap means.

    Args:
        means: What `bootstrap_means` gave.
        level: Such as 0.95.

    Returns:
        Lower and upper ends (percentile method).

    Raises:
        ValueError: If `level` is not between 0 and 1.

    Example:
        >>> low, high = bounds(np.arange(101.0)[:, None], 0.5)
        >>> float(low[0]), float(high[0])
        (25.0, 75.0)
    """
    if not 0 < level < 1:
        raise ValueError(f"The level of an interval is between 0 and 1, such as 0.95; got {level}.")
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high


def randomization_test(differences: np.ndarray, samples: int = 10_000, seed: int = 0) -> np.ndarray:
    """Two-sided p-values of the hypothesis that exchanging the two models makes no difference.

    Under it each user's difference is as likely to be the negative. The p-value is the share of
    random sign flips whose mean is as far from 0 as the observed one, the observed one included:
    (1 + exceeding) / (1 + samples). Source: Fisher's randomization test, which Smucker, Allan and
    Carterette (CIKM 2007) recommend for comparing rankings.

    Args:
        differences: Each user's difference, `[num_users, num_columns]`.
        samples: How many sign flips.
        seed: The same seed flips the same signs.

    Returns:
        Float64 `[num_columns]`.

    Example:
        Eight users agree: only 2 in 2 ** 8 sign flips are as extreme, 0.0078.

        >>> float(randomization_test(np.ones((8, 1)))[0].round(2))
        0.01
    """
    rng = np.random.default_rng(seed)
    # Users without any difference change no sum.
    differences = differences[(differences != 0).any(axis=1)]
    observed = np.abs(differences.sum(axis=0))
    exceeding = np.zeros(differences.shape[1])
    for start in range(0, samples, _CHUNK):
        rows = min(_CHUNK, samples - start)
        signs = 2.0 * rng.integers(2, size=(rows, len(differences)), dtype=np.int8) - 1
        # The tolerance makes sums equal that differ by rounding only.
        exceeding += (np.abs(signs @ differences) >= observed * (1 - 1e-9)).sum(axis=0)
    return (1 + exceeding) / (1 + samples)
