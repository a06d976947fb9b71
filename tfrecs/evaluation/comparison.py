"""Paired tests and confidence intervals, by resampling users."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from tfrecs.configured import check_integer

_CHUNK = 64  # Resamples held at once, so that memory stays at 64 numbers a user.


class Difference(NamedTuple):
    """The difference between two models by one metric.

    Attributes:
        difference: Mean over users of the first model's metric minus the second's.
        low: Lower end of its confidence interval.
        high: Upper end.
        p_value: Of a two-sided randomization test that there is no difference.
    """

    difference: float
    low: float
    high: float
    p_value: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two models compared user by user; `print` gives a table.

    Attributes:
        models: Names of the first and the second.
        differences: The difference by each metric: `comparison["NDCG@10"].p_value`.
        level: Level of the confidence intervals.
        num_users: Number of users.
    """

    models: tuple[str, str]
    differences: dict[str, Difference]
    level: float
    num_users: int

    @classmethod
    def of(
        cls,
        models: tuple[str, str],
        first: dict[str, np.ndarray],
        second: dict[str, np.ndarray],
        *,
        users: np.ndarray | None = None,
        level: float = 0.95,
        samples: int = 10_000,
        seed: int = 0,
    ) -> Comparison:
        """Compares each user's metrics, those that both models have.

        Args:
            models: Names of the two.
            first: Each user's values by metric.
            second: The same for the other model, users in the same order.
            users: The user of each value, where users have several; None if each has one.
            level: Level of the confidence intervals (paired bootstrap, 1,000 draws).
            samples: Sign flips of the randomization test.
            seed: The same seed gives the same numbers.

        Raises:
            ValueError: If they have no metric in common.
        """
        names = [name for name in first if name in second]
        if not names:
            raise ValueError(
                f"Nothing to compare: one report has {', '.join(first) or 'no users values'}, the "
                f"other {', '.join(second) or 'none'}. Evaluate both with the same ks."
            )
        values = np.stack([first[name] - second[name] for name in names], axis=1)
        low, high = bounds(bootstrap_means(values, seed=seed, users=users), level)
        p_values = randomization_test(values, samples, seed, users=users)
        rows = zip(names, values.mean(axis=0), low, high, p_values, strict=True)
        differences = {name: Difference(*map(float, numbers)) for name, *numbers in rows}
        return cls(models, differences, level, len(_by_user(values, users)[0]))

    def __getitem__(self, metric: str) -> Difference:
        return self.differences[metric]

    def __str__(self) -> str:
        width = max(len(name) for name in self.differences)
        interval = f"{self.level:.0%} interval"
        lines = [
            f"{self.models[0]} minus {self.models[1]}, {self.num_users:,} users, paired",
            f"{'':{width}}  {'difference':>10}  {interval:^18}  {'p value':>7}",
        ]
        for name, row in self.differences.items():
            ends = f"[{row.low:+.4f}, {row.high:+.4f}]"
            lines.append(
                f"{name:{width}}  {row.difference:>+10.4f}  {ends:^18}  {row.p_value:>7.4f}"
            )
        return "\n".join(lines)


def bootstrap_means(
    values: np.ndarray, samples: int = 1000, seed: int = 0, *, users: np.ndarray | None = None
) -> np.ndarray:
    """Returns means over users drawn with replacement, the same users for every column.

    A user is drawn with all of the user's rows, because these depend on each other; the mean is
    over the drawn rows. Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993.

    Args:
        values: Each user's values, `[num_rows, num_columns]`.
        samples: How often to draw.
        seed: The same seed draws the same users.
        users: The user of each row, `[num_rows]`; None if each row is another user.

    Returns:
        Float64 `[samples, num_columns]`.

    Example:
        >>> means = bootstrap_means(np.array([[0.0], [1.0]]), samples=1000)
        >>> [float(q) for q in np.quantile(means, [0.025, 0.975])]
        [0.0, 1.0]
    """
    check_integer("samples", samples, least=1)
    rng = np.random.default_rng(seed)
    sums, sizes = _by_user(values, users)
    num_users = len(sums)
    means = np.empty((samples, values.shape[1]))
    for start in range(0, samples, _CHUNK):
        stop = min(start + _CHUNK, samples)
        # How often each user is drawn, so that all columns are one matrix product.
        drawn = (rng.integers(num_users, size=num_users) for _ in range(start, stop))
        times = np.array([np.bincount(each, minlength=num_users) for each in drawn], np.float64)
        means[start:stop] = times @ sums / (times @ sizes)[:, None]
    return means


def bounds(means: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ends between which a share `level` of each column's values lies.

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


def randomization_test(
    differences: np.ndarray,
    samples: int = 10_000,
    seed: int = 0,
    *,
    users: np.ndarray | None = None,
) -> np.ndarray:
    """Returns two-sided p-values of the hypothesis that two models do not differ.

    Under it each user's difference, in all of the user's rows, is as likely to have the other sign.
    The p-value is the share of
    random sign flips, with the observed signs among them, whose mean is at least as far from 0 as
    observed: (1 + exceeding) / (1 + samples). Source: Fisher's randomization test, which Smucker,
    Allan and Carterette (CIKM 2007) recommend for comparing rankings.

    Args:
        differences: Each user's difference, `[num_rows, num_columns]`.
        samples: How many sign flips.
        seed: The same seed flips the same signs.
        users: The user of each row, `[num_rows]`; None if each row is another user.

    Returns:
        Float64 `[num_columns]`.

    Example:
        Eight users agree: only 2 in 2 ** 8 sign flips are as extreme, 0.0078.

        >>> float(randomization_test(np.ones((8, 1)))[0].round(2))
        0.01
    """
    check_integer("samples", samples, least=1)
    rng = np.random.default_rng(seed)
    differences, _ = _by_user(differences, users)
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


def _by_user(values: np.ndarray, users: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Returns the sum of each user's rows and their number."""
    if users is not None:
        found, place, sizes = np.unique(users, return_inverse=True, return_counts=True)
        if len(found) < len(values):
            sums = np.zeros((len(found), values.shape[1]))
            np.add.at(sums, place, values)
            return sums, sizes
    return values, np.ones(len(values))
