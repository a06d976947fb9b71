"""The moments at which a log is cut into parts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tfrecs.data.log.times import parse_times, unit_of


def cut_moments(
    rule: str, moments: np.ndarray, quantiles: Sequence[float], times: Sequence[Any] | None
) -> np.ndarray:
    """Returns the moments between the parts of a split, `[len(quantiles)]`, rising.

    Args:
        rule: Name of the split in errors.
        moments: Times to cut, rising.
        quantiles: Shares of `moments` that lie before each cut.
        times: The cuts themselves instead, as numbers in the unit of `moments` or as dates.

    Raises:
        ValueError: If the cuts do not rise, or are not as many as `quantiles`.

    Example:
        >>> cut_moments("global_time", np.arange(10), (0.5, 0.8), None)
        array([5, 8])
    """
    if times is None:
        if not all(a < b for a, b in pairwise((0, *quantiles, 1))):
            raise ValueError(f"{rule}: quantiles must rise within 0..1, not {quantiles}.")
        cuts = moments[[int(q * len(moments)) for q in quantiles]]
    else:
        cuts, invalid = parse_times(list(times))
        if not any(isinstance(time, int | float | np.number) for time in times):
            cuts = cuts * unit_of(moments)  # Dates are in seconds.
        if invalid.any() or len(cuts) != len(quantiles):
            words = {1: "one moment", 2: "two moments"}[len(quantiles)]
            raise ValueError(f"{rule}: times must be {words}, not {times!r}.")
    if (np.diff(cuts) <= 0).any():
        raise ValueError(
            f"{rule}: the cuts {cuts[0]} and {cuts[1]} do not rise. Choose others, further apart."
        )
    return cuts
