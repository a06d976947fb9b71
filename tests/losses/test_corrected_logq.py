"""`SampledSoftmax(logq="corrected")` against the formula and the full softmax, in numpy."""

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.losses import DotProductScores, SampledSoftmax
from tfrecs.negatives import (
    InBatch,
    ItemFrequency,
    KnownItems,
    Mixed,
    Negatives,
    Popularity,
    Sample,
    Uniform,
)

RNG = np.random.default_rng(0)
ITEMS = RNG.normal(size=(6, 4)).astype(np.float32)
QUERIES = RNG.normal(size=(3, 4)).astype(np.float32)
TARGETS = np.array([2, 5, 2], np.int32)
COUNTS = np.array([40, 24, 16, 10, 6, 4])
SHARE = COUNTS / COUNTS.sum()
SCORES = QUERIES @ ITEMS.T


class Chosen(Negatives):
    """Negatives that a test chose."""

    def __init__(self, ids):
        super().__init__(len(ids), seed=1)
        self.ids = np.array(ids, np.int32)

    def draw(self, seed, positives, num_items, user_ids):
        return tf.constant(self.ids), None

    def log_probability(self, ids, positives, num_items, user_ids):
        return tf.gather(tf.constant(np.log(SHARE), tf.float32), ids - 1)


def scores_of(queries, users=None, valid=None):
    table = tf.constant(ITEMS)
    rows = lambda ids: tf.gather(table, ids - 1)  # noqa: E731
    return DotProductScores(queries, 6, rows, lambda: table, users, valid=valid)


def value_and_gradient(loss, queries, targets, **more):
    queries = tf.constant(queries)
    with tf.GradientTape() as tape:
        tape.watch(queries)
        value = loss(tf.constant(targets), scores_of(queries, **more))
    return float(value), tape.gradient(value, queries).numpy()


def test_the_papers_gradient():
    """(1 - p) times that of -log(e^s / sum_j e^(s_j - log q_j)), the target not among the j."""
    ids = [2, 1, 1, 4]
    losses, gradients = [], []
    for s, target in zip(SCORES, TARGETS, strict=True):
        kept = np.array([i for i in ids if i != target]) - 1
        ratios = np.exp(s[kept]) / SHARE[kept]
        others = ratios.sum() / len(ids)
        own = np.exp(s[target - 1])
        losses.append(np.log(own + others) - s[target - 1])
        mean = ratios @ ITEMS[kept] / ratios.sum()
        gradients.append((1 - own / (own + others)) * (mean - ITEMS[target - 1]))
    loss = SampledSoftmax(negatives=Chosen(ids), logq="corrected")
    value, gradient = value_and_gradient(loss, QUERIES, TARGETS)
    assert value == pytest.approx(np.mean(losses), rel=1e-5)
    np.testing.assert_allclose(gradient, np.array(gradients) / 3, rtol=1e-4, atol=1e-6)


def full_gradient(target):
    p = np.exp(SCORES[0]) / np.exp(SCORES[0]).sum()
    return p @ ITEMS - ITEMS[target - 1]


def known():
    return KnownItems.from_interactions([1, 1], [1, 3], num_users=1, num_items=6)


MANY = 5000
OWN = {
    "uniform": lambda k: Uniform(k, shared=False, seed=1),
    "popularity": lambda k: Popularity(k, COUNTS, alpha=1.0, shared=False, seed=1),
    "mixed": lambda k: Mixed(
        [
            Uniform(k // 2, shared=False, seed=1),
            Popularity(k // 2, COUNTS, alpha=1.0, shared=False, seed=2),
        ]
    ),
}


@pytest.mark.parametrize("name", OWN)
def test_its_mean_gradient_tends_to_that_of_the_full_softmax(name):
    """Many targets of one query, each with draws of its own; the popular item is the target.

    The bias of a ratio of means, of order 1 / k, is left; the standard correction keeps another.
    """
    queries, targets = np.repeat(QUERIES[:1], MANY, 0), np.ones(MANY, np.int32)
    errors = {}
    for k in (40, 400):
        for logq in (True, "corrected"):
            loss = SampledSoftmax(negatives=OWN[name](k), logq=logq)
            _, gradient = value_and_gradient(loss, queries, targets)
            errors[k, logq] = np.linalg.norm(gradient.sum(0) - full_gradient(1))
        assert errors[k, "corrected"] < errors[k, True] / 3
    assert errors[400, "corrected"] < 0.02
    assert errors[400, True] > 0.1


def test_negatives_without_known_items_estimate_the_softmax_without_them():
    """Items 1 and 3 are known: the target is never drawn, and the rest are 2, 4, 5 and 6."""
    negatives = Popularity(400, COUNTS, alpha=1.0, shared=False, seed=1, known=known())
    loss = SampledSoftmax(negatives=negatives, logq="corrected")
    queries, targets = np.repeat(QUERIES[:1], 4000, 0), np.ones(4000, np.int32)
    value, _ = value_and_gradient(loss, queries, targets, users=tf.ones([4000], tf.int32))
    s = SCORES[0]
    assert value == pytest.approx(np.log(np.exp(s[[0, 1, 3, 4, 5]]).sum()) - s[0], abs=0.01)


@pytest.mark.parametrize(("num_negatives", "filled"), [(None, False), (None, True), (12, False)])
def test_the_own_row_of_the_batch_is_no_draw(num_negatives, filled):
    """Of B rows B - 1 are draws: with B = 4 the sum would be a quarter too small otherwise."""
    rng, found = np.random.default_rng(1), []
    negatives = InBatch(num_negatives, ItemFrequency(COUNTS), seed=1)
    queries = np.repeat(QUERIES[:1], 6 if filled else 4, 0)
    weights = np.array([1.0, 0, 0, 0, 0, 0])[: len(queries)].astype(np.float32)
    valid = tf.constant([True] * 4 + [False] * 2) if filled else None
    loss = SampledSoftmax(negatives=negatives, logq="corrected")

    @tf.function
    def others_of(targets):
        """The estimate of the other items' sum, from the loss: e^(loss + s) - e^s."""
        value = loss(targets, scores_of(tf.constant(queries), valid=valid), weights)
        return tf.exp(value + SCORES[0, 3]) - tf.exp(SCORES[0, 3])

    for _ in range(3000):
        rows = [4, *(rng.choice(6, size=3, p=SHARE) + 1)]
        targets = [*rows, *rows[:2]] if filled else rows
        found.append(float(others_of(tf.constant(targets, tf.int32))))
    expected = np.exp(np.delete(SCORES[0], 3)).sum()
    assert np.mean(found) == pytest.approx(expected, rel=4 * np.std(found) / expected / 3000**0.5)
    assert np.std(found) / 3000**0.5 < 0.05 * expected


def test_mixed_negatives_know_the_own_row():
    mixed = Mixed([InBatch(frequency=ItemFrequency(COUNTS)), Uniform(5, seed=1)])
    sample = mixed(tf.constant([1, 2, 2]), num_items=6)
    assert (float(sample.num_draws), float(sample.num_others)) == (8, 7)
    assert float(Sample(tf.constant([1]), 0.0, 0.0, num_own=tf.constant(1.0)).num_others) == 1


def test_what_it_refuses():
    with pytest.raises(ValueError, match='logq must be True, False or "corrected", not'):
        SampledSoftmax(logq="correct")
