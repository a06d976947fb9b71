"""Draws from what holes leave of a range: every number left once, no other."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs._keras import tf
from tfrecs.negatives.complement import Complement, pack, random_below


def unpacked(table, row):
    """The numbers that 0..size-1 stand for in a row that `pack` made."""
    size, shift, first_slot = map(int, row)
    r = np.arange(size)
    until, first, second = table[first_slot + (r >> shift)].T
    return r + np.where(r < until, first, second)


run_lengths = st.lists(st.integers(1, 60), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(st.lists(run_lengths, min_size=1, max_size=6), st.integers(0, 5))
def test_every_number_of_the_runs_is_packed_once(rows, gap):
    lengths = np.concatenate(rows)
    starts = np.concatenate([np.cumsum(row) - row + gap * np.arange(len(row)) for row in rows])
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    table, packed = pack(starts, lengths, offsets)
    assert len(table) <= 2 * len(lengths)
    for i, row in enumerate(packed):
        runs = range(offsets[i], offsets[i + 1])
        want = [x for run in runs for x in range(starts[run], starts[run] + lengths[run])]
        assert sorted(unpacked(table, row)) == want


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sets(st.integers(0, 29)), min_size=1, max_size=5))
def test_what_holes_leave(holes):
    rows = [np.sort(np.array(list(row), np.int64)) for row in holes]
    values = np.concatenate(rows)
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    complement = Complement(len(rows), len(values))
    complement.leave_out(values, values + 1, offsets, 30)
    table, packed = complement._table.numpy(), complement._rows.numpy()
    for row, left in zip(rows, packed, strict=True):
        want = np.setdiff1d(np.arange(30), row)
        # A row of which nothing is left is taken as one without holes.
        np.testing.assert_array_equal(
            np.sort(unpacked(table, left)), want if len(want) else np.arange(30)
        )


def test_draws_are_what_the_table_says():
    complement = Complement(2, 3)
    complement.leave_out(np.array([1, 5, 0]), np.array([3, 6, 9]), np.array([0, 2, 3]), 10)
    drawn = complement(tf.constant([1, 0, 0]), 400, tf.constant([1, 2], tf.int64)).numpy()
    assert set(drawn[0]) == {9}
    assert set(drawn[1]) == set(drawn[2]) == {0, 3, 4, 6, 7, 8, 9}
    assert complement.sizes(tf.constant([0, 1])).numpy().tolist() == [7, 1]


def test_random_numbers_below_a_limit():
    limits = tf.constant([[1], [7], [2**31 - 1]])
    drawn = random_below(limits, [3, 70_000], tf.constant([3, 4], tf.int64)).numpy()
    assert set(drawn[0]) == {0}
    counts = np.bincount(drawn[1], minlength=7)
    # Chi-squared with 6 degrees of freedom: 27.9 is exceeded once in 10,000 draws.
    assert len(counts) == 7
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 27.9
    assert drawn[2].min() >= 0
    assert drawn[2].max() > 2**31 * 0.999
