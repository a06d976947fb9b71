"""Squared error over all items against the sum over the dense matrix."""

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.losses import DotProductScores, WholeDataSquaredError
from tfrecs.negatives import ItemFrequency, KnownItems

RNG = np.random.default_rng(0)
USERS, ITEMS = RNG.normal(size=(5, 4)), RNG.normal(size=(8, 4))
SEEN = RNG.random((5, 8)) < 0.4
SEEN[:, 0] = True
COUNTS = np.arange(8, 0, -1)
PAIRS = np.argwhere(SEEN)
ITEM_WEIGHTS = {
    None: np.full(8, 0.2),
    0.5: 0.2 * 8 * COUNTS**0.5 / (COUNTS**0.5).sum(),
}


def loss_of(alpha, known=None):
    popularity = None if alpha is None else ItemFrequency(COUNTS)
    return WholeDataSquaredError(0.2, popularity, alpha or 0.5, known)


def epoch(loss, items, order=slice(None), weights=None):
    """The loss of a batch of all pairs, or of some of them."""
    users, targets = PAIRS[order].T
    scores = DotProductScores(
        tf.constant(USERS[users], tf.float32),
        8,
        lambda ids: tf.gather(items, ids - 1),
        lambda: items,
        user_ids=tf.constant(users + 1),
    )
    return loss(tf.constant(targets + 1), scores, weights)


@pytest.mark.parametrize("alpha", ITEM_WEIGHTS)
def test_an_epoch_is_the_dense_sum(alpha):
    """With known items: every seen pair should score 1, every other one 0, each once."""
    users, items = PAIRS.T
    known = KnownItems.from_interactions(users + 1, items + 1, 5, 8)
    vectors = tf.Variable(ITEMS, dtype=tf.float32)
    with tf.GradientTape() as tape:
        got = len(PAIRS) * epoch(loss_of(alpha, known), vectors)
    dense = USERS @ ITEMS.T
    weight = np.where(SEEN, 1, ITEM_WEIGHTS[alpha])
    assert float(got) == pytest.approx((weight * (SEEN - dense) ** 2).sum(), rel=1e-5)
    gradient = 2 * (weight * (dense - SEEN)).T @ USERS
    np.testing.assert_allclose(tape.gradient(got, vectors), gradient, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("alpha", ITEM_WEIGHTS)
def test_batches_without_known_items(alpha):
    """Each pair against all other items, weighted means in batches of any size."""
    dense = USERS @ ITEMS.T
    items = tf.constant(ITEMS, tf.float32)
    for order in (slice(0, 3), slice(3, 11)):
        users, targets = PAIRS[order].T
        sample = RNG.random(len(users))
        target = np.eye(8)[targets]
        weight = np.where(target > 0, 1, ITEM_WEIGHTS[alpha])
        each = (weight * (target - dense[users]) ** 2).sum(1)
        got = epoch(loss_of(alpha), items, order, sample.astype(np.float32))
        assert float(got) == pytest.approx((sample * each).sum() / sample.sum(), rel=1e-5)


def test_known_items_need_users():
    known = KnownItems.from_interactions([1], [1], 5, 8)
    scores = DotProductScores(
        tf.zeros([1, 4]), 8, lambda ids: tf.zeros([1, 4]), lambda: tf.zeros([8, 4])
    )
    with pytest.raises(ValueError, match='must have "user_id"'):
        WholeDataSquaredError(known=known)(tf.constant([1]), scores)


def test_wrong_weight():
    with pytest.raises(ValueError, match="unobserved_weight must be positive"):
        WholeDataSquaredError(0.0)
