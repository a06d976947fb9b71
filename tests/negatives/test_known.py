"""Which items a user knows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs._keras import tf
from tfrecs.data import Histories, TrainSet
from tfrecs.negatives import KnownItems

pairs = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 9)), max_size=30)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(pairs)
def test_a_user_knows_what_is_in_the_log(log):
    users, items = np.array(log, np.int64).reshape(-1, 2).T
    known = KnownItems.from_interactions(users, items, num_users=5, num_items=9)
    everyone = np.arange(7)  # 0 and 6 are no users
    want = np.array([[(user, item) in log for item in range(1, 10)] for user in everyone])
    got = known.contains(tf.constant(everyone), tf.range(1, 10))
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(known.counts(tf.constant(everyone)), want.sum(1))
    own = tf.reverse(tf.tile(tf.range(1, 10)[tf.newaxis], [7, 1]), [1])
    np.testing.assert_array_equal(known.contains(tf.constant(everyone), own), want[:, ::-1])
    assert known.num_known == len(set(log))
    assert [row.tolist() for row in known.histories()] == [
        sorted({item for user, item in log if user == u}) for u in range(6)
    ]


def test_of_a_training_set():
    train = TrainSet(Histories.from_lists([[3, 1, 3], [2]]), np.array([2, 4]), num_items=3)
    known = KnownItems.from_train(train)
    assert (known.num_users, known.num_items, known.num_known) == (4, 3, 3)
    want = [[False] * 3, [True, False, True], [False] * 3, [False, True, False]]
    assert known.contains(tf.range(1, 5), tf.range(1, 4)).numpy().tolist() == want


@pytest.mark.parametrize(
    ("users", "items", "message"),
    [([0], [1], "user ids"), ([3], [1], "user ids"), ([1], [10], r"item ids must be .N. in 1..9")],
)
def test_ids_out_of_range(users, items, message):
    with pytest.raises(ValueError, match=message):
        KnownItems.from_interactions(users, items, num_users=2, num_items=9)
