"""The paired comparison of two models on the same users."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from tfrecs.evaluation.resampling import bootstrap_means, bounds, randomization_test


class Difference(NamedTuple):
    """How much better one model is than another by one metric.

    Attributes:
        difference: Mean over users of the first model's metric minus the second's.
        low: Lower end of its confidence interval.
        high: Upper end.
        p_value: Of a two-sided randomization test that there is no difference.

    Example:
        >>> Difference(0.02, 0.01, 0.03, 0.001).p_value
        0.001
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
        differences: By metric.
        level: Of the confidence intervals.
        num_users: How many users both ranked.

    Example:
        ```python
        comparison = report.compare(other)
        comparison["NDCG@10"].p_value
        ```
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
        level: float = 0.95,
        samples: int = 10_000,
        seed: int = 0,
    ) -> Comparison:
        """Compares each user's metrics, those that both models have.

        Args:
            models: Names of the two.
            first: Each user's values by metric.
            second: The same for the other model, users in the same order.
            level: Of the confidence intervals (paired bootstrap, 1,000 draws).
            samples: Sign flips of the randomization test.
            seed: The same seed gives the same numbers.

        Returns:
            The comparison.

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
        low, high = bounds(bootstrap_means(values, seed=seed), level)
        p_values = randomization_test(values, samples, seed)
        rows = zip(names, values.mean(axis=0), low, high, p_values, strict=True)
        differences = {name: Difference(*map(float, numbers)) for name, *numbers in rows}
        return cls(models, differences, level, len(values))

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
