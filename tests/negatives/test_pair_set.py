"""The hash set of pairs, beside Python's own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs._keras import tf
from tfrecs.negatives.known import PairSet


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


@pytest.mark.parametrize(("num_rows", "slots"), [(1000, 4), (300, 128), (20, 4096), (1, 65_536)])
@pytest.mark.parametrize("jit", [False, True])
def test_many_pairs_at_the_highest_load(num_rows, slots, jit):
    rng = np.random.default_rng(0)
    # So many that one more pair would double the slots of a row.
    count, num_items = int(slots / 2.2), 2 * slots
    rows = np.repeat(np.arange(num_rows), count)
    items = [1 + np.sort(rng.choice(num_items, count, replace=False)) for _ in range(num_rows)]
    pair_set = PairSet(num_rows, num_items, num_rows * count)
    pair_set.fill(rows, np.concatenate(items))
    want = np.zeros((num_rows, num_items + 1), bool)
    want[rows, np.concatenate(items)] = True
    ask = tf.function(pair_set, jit_compile=jit)
    np.testing.assert_array_equal(ask(tf.range(num_rows), tf.range(num_items + 1)), want)


def test_a_row_that_cannot_be_placed_gets_another_number(monkeypatch):
    # Two rounds are seldom enough for all rows, and no row may lose a pair on the way.
    monkeypatch.setattr("tfrecs.negatives.known._MOST_ROUNDS", 2)
    rng = np.random.default_rng(1)
    flat = np.sort(rng.choice(100 * 50, 600, replace=False))
    pair_set = made({(int(x) // 50, 1 + int(x) % 50) for x in flat}, 100, 50)
    found = pair_set(tf.range(100), tf.range(1, 51))
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
