"""Candidates: unseen, distinct, uniform, and the same under a seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs.data import EvaluationSet, Histories, Vocabulary
from tfrecs.data.log.histories import draw_unseen

rows = st.lists(st.lists(st.integers(1, 8), max_size=10), min_size=1, max_size=5)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(rows, st.integers(1, 9), st.integers(0, 2))
def test_unseen_and_distinct(seen, n, seed):
    drawn = draw_unseen([Histories.from_lists(seen)], 8, n, seed)
    assert drawn.shape == (len(seen), n)
    assert drawn.dtype == np.int32
    for row, known in zip(drawn.tolist(), seen, strict=True):
        unseen = {*range(1, 9)} - {*known}
        found = row[: min(n, len(unseen))]
        assert {*found} <= unseen
        assert len({*found}) == len(found)
        assert not any(row[len(found) :])  # the rest is 0
    again = draw_unseen([Histories.from_lists(seen)], 8, n, seed)
    assert np.array_equal(drawn, again)


def test_every_pair_is_as_likely():
    seen = Histories.from_lists([[2]] * 30_000)
    drawn = np.sort(draw_unseen([seen], 5, 2, seed=0), axis=1)
    pairs, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(pairs) == 6  # of the items 1, 3, 4, 5
    assert np.abs(counts - 5000).max() < 5 * np.sqrt(5000)


def test_sample_candidates_avoids_history_and_targets():
    dataset = EvaluationSet(
        user_ids=[1, 1],
        history=Histories.from_lists([[1, 2], [5]]),
        targets=Histories.from_lists([[3], [4, 1]]),
        item_counts=np.zeros(8, int),
        items=Vocabulary(range(6)),
        users=Vocabulary(["u"]),
    )
    drawn = dataset.sample_candidates(3, seed=1).candidates
    assert sorted(drawn[0].tolist()) == [4, 5, 6]
    assert sorted(drawn[1].tolist()) == [2, 3, 6]
    with pytest.raises(ValueError, match="at least 1"):
        dataset.sample_candidates(0)
