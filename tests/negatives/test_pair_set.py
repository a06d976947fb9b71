"""The hash set of pairs, beside Python's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs._keras import tf
from tfrecs.negatives.pair_set import PairSet


def made(pairs, num_rows, num_items):
    rows, items = np.array(sorted(pairs), np.int64).reshape(-1, 2).T
    pair_set = PairSet(num_rows, num_items, len(pairs))
    pair_set.fill(rows, items)
    return pair_set


@settings(max_examples=60, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 5), st.integers(1, 9))))
def test_it_holds_what_was_put_in_and_no_more(pairs):
    found = made(pairs, 6, 9)(tf.range(6), tf.range(10))
    want = [[(row, item) in pairs for item in range(10)] for row in range(6)]
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("size", [4_096, 100_000])
def test_many_pairs_at_the_highest_load(size):
    rng = np.random.default_rng(0)
    # So many that one more pair would double the slots.
    count = int(2 ** np.floor(np.log2(size)) / 2.2)
    flat = np.sort(rng.choice(300 * 1000, count, replace=False))
    pairs = np.stack([flat // 1000, 1 + flat % 1000], 1)
    pair_set = made([tuple(pair) for pair in pairs.tolist()], 300, 1000)
    assert count / pair_set.num_slots > 0.45
    found = pair_set(tf.range(300), tf.range(1, 1001))
    np.testing.assert_array_equal(np.flatnonzero(found), flat)


def test_rows_may_outnumber_pairs():
    pair_set = made([(999, 3)], 1000, 5)
    rows = tf.constant([0, 998, 999])
    own = tf.constant([[3, 1], [3, 2], [3, 5]])
    assert pair_set(rows, own).numpy().tolist() == [[False] * 2, [False] * 2, [True, False]]


def test_the_same_pairs_are_placed_alike():
    first, again = made([(1, 2), (3, 4)], 4, 4), made([(1, 2), (3, 4)], 4, 4)
    for one, other in zip(first.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
