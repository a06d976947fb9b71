"""What the times of a log tell of a part of a split: recent items, and training on the future."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tfrecs.data.log.times import unit_of

RECENT_DAYS = 7


@dataclasses.dataclass(frozen=True, eq=False)
class PartTimes:
    """What the times of a log tell of a validation or test part.

    Args:
        recent_counts: `[n + 2]` int64, the interactions of each item id in the last 7 days before
            the part. Under `global_time` they are those before the cut, whichever part they are in.
            Under other rules, which have no cut, they are those of the training part, up to its
            latest interaction.
        trained_on_future: The probability that a training interaction is later than a target of the
            part, both drawn at random: 0 where training ends before the part begins.

    Example:
        ```python
        split = tfrecs.data.leave_last_out(tfrecs.data.load("ml-100k"))
        split.test.times.trained_on_future             # 0.44
        ```
    """

    recent_counts: np.ndarray
    trained_on_future: float

    @classmethod
    def of(
        cls,
        moments: np.ndarray,
        items: np.ndarray,
        num_items: int,
        *,
        train: np.ndarray,
        before: np.ndarray,
        targets: np.ndarray,
        cut: Any = None,
    ) -> PartTimes:
        """Returns what the times of a log's N interactions tell of a part.

        The size of the times says whether they are seconds or milli-, micro- or nanoseconds.

        Args:
            moments: `[N]`, their times.
            items: `[N]`, their item ids.
            num_items: n, the size of the item vocabulary.
            train: `[N]` bool, the training interactions.
            before: `[N]` bool, the interactions of the parts before this one.
            targets: `[N]` bool, the withheld interactions of the part.
            cut: The moment that the part begins at, or None.

        Example:
            Two of the three training interactions are later than the target, at time 5; the latest,
            at time 20, is within a week of all.

            >>> times = PartTimes.of(
            ...     np.array([0, 10, 20, 5]), np.array([1, 2, 2, 1]), 2,
            ...     train=np.array([True, True, True, False]),
            ...     before=np.array([True, True, True, False]),
            ...     targets=np.array([False, False, False, True]),
            ... )
            >>> times.recent_counts, round(times.trained_on_future, 3)
            (array([0, 1, 2, 0]), 0.667)
        """
        week = RECENT_DAYS * 86_400 * unit_of(moments)
        trained = np.sort(moments[train])
        if cut is None:
            recent = train & (moments > trained[-1] - week)
        else:
            recent = before & (moments >= cut - week)
        later = len(trained) - np.searchsorted(trained, moments[targets], side="right")
        return cls(
            recent_counts=np.bincount(items[recent], minlength=num_items + 2),
            trained_on_future=float(later.mean() / len(trained)),
        )
