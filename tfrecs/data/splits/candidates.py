"""Items drawn to rank a target among."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfrecs.data.log.histories import Histories


def draw_unseen(seen: Sequence[Histories], num_items: int, n: int, seed: int) -> np.ndarray:
    """Draws distinct items for each row uniformly from those that the row has not seen.

    Args:
        seen: histories of the same rows; what stands in any of them is not drawn.
        num_items: items 1..num_items are drawn from.
        n: how many for each row.
        seed: the same seed draws the same items.

    Returns:
        int32 [rows, n], 0 at the end of rows that have seen all but fewer than n items.

    Example:
        >>> draw_unseen([Histories.from_lists([[1, 2], [3]])], num_items=4, n=3, seed=0)[0] > 2
        array([ True,  True, False])
    """
    if n < 1:
        raise ValueError(f"Candidates: n must be at least 1, not {n}.")
    rng = np.random.default_rng(seed)
    rows = len(seen[0])
    stride = num_items + 1
    # One number stands for a row and an item, so that sets of both are sorted arrays.
    taken = np.sort(np.concatenate([h.rows * stride + h.values for h in seen]))
    taken = taken[np.diff(taken, prepend=-1) > 0]
    left = num_items - np.bincount(taken // stride, minlength=rows)
    wanted = np.arange(n) < left[:, None]
    drawn = np.zeros((rows, n), np.int64)
    row, place = np.nonzero(wanted)
    while len(row):
        # Redrawing what was seen or came before keeps every set of unseen items equally likely.
        drawn[row, place] = rng.integers(1, num_items + 1, len(row))
        keys = np.where(wanted, np.arange(rows)[:, None] * stride + drawn, -1)
        order = np.argsort(keys, axis=1, kind="stable")
        ranked = np.take_along_axis(keys, order, axis=1)
        again = np.zeros((rows, n), bool)
        np.put_along_axis(again, order[:, 1:], ranked[:, 1:] == ranked[:, :-1], axis=1)
        row, place = np.nonzero((again | _contains(taken, keys)) & wanted)
    return drawn.astype(np.int32)


def _contains(ordered: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Which keys stand in an ordered array."""
    if not len(ordered):
        return np.zeros(keys.shape, bool)
    found = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
    return ordered[found] == keys
