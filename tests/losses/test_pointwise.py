"""Squares, corrections and what trained scores estimate."""

import numpy as np
import pytest

from tests.losses.test_losses import (
    ALL,
    POSITIVE,
    TARGETS,
    WEIGHTS,
    Fixed,
    scores,
    softplus,
    weighted_mean,
)
from tfrecs._keras import keras, tf
from tfrecs.losses import BinaryCrossEntropy, FullSoftmax, SampledSoftmax, Scores, SquaredError
from tfrecs.negatives import ItemFrequency, Popularity

IDS = [[3, 5], [1, 2], [8, 7], [6, 6]]
ROWS = np.array(IDS)
KEPT = TARGETS[:, None] != ROWS
NEGATIVE = np.take_along_axis(ALL, ROWS - 1, 1)
Q = np.log(np.arange(1, 10) / 45)
COUNTS = np.array([9, 8, 7, 6, 5, 4, 3, 2, 1])
SHARE = np.log(COUNTS / COUNTS.sum())


def test_squared_error():
    expected = (1 - POSITIVE) ** 2 + 0.3 * (NEGATIVE**2 * KEPT).sum(1)
    loss = SquaredError(negatives=Fixed(IDS), negative_weight=0.3)(TARGETS, scores(), WEIGHTS)
    assert float(loss) == pytest.approx(weighted_mean(expected), rel=1e-5)


@pytest.mark.parametrize("popularity", [False, True])
@pytest.mark.parametrize("logq", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_corrected_binary_cross_entropy(logq, popularity, shared):
    ids = [3, 5] if shared else IDS
    rows = np.broadcast_to(ids, (4, 2))
    correction = -logq * (Q + np.log(2)) + popularity * SHARE
    positive = POSITIVE + correction[TARGETS - 1]
    negative = np.take_along_axis(ALL, rows - 1, 1) + correction[rows - 1]
    kept = rows != TARGETS[:, None]
    expected = softplus(-positive) + 0.4 * (softplus(negative) * kept).sum(1)
    loss = BinaryCrossEntropy(
        negatives=Fixed(ids, Q),
        logq=logq,
        popularity=ItemFrequency(COUNTS) if popularity else None,
        negative_weight=0.4,
    )(TARGETS, scores(), WEIGHTS)
    assert float(loss) == pytest.approx(weighted_mean(expected), rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_full_softmax_of_probability_ratios(smoothing):
    logits = ALL + SHARE
    expected = np.log(np.exp(logits).sum(1))
    expected -= (1 - smoothing) * logits[np.arange(4), TARGETS - 1] + smoothing * logits.mean(1)
    loss = FullSoftmax(smoothing, popularity=ItemFrequency(COUNTS))(TARGETS, scores(), WEIGHTS)
    assert float(loss) == pytest.approx(weighted_mean(expected), rel=1e-5)


def test_sampled_softmax_of_probability_ratios():
    correction = SHARE - Q
    positive = POSITIVE + correction[TARGETS - 1]
    negative = np.where(KEPT, NEGATIVE + correction[ROWS - 1], -np.inf)
    expected = np.log(np.exp(positive) + np.exp(negative).sum(1)) - positive
    loss = SampledSoftmax(negatives=Fixed(IDS, Q), popularity=ItemFrequency(COUNTS))
    assert float(loss(TARGETS, scores(), WEIGHTS)) == pytest.approx(
        weighted_mean(expected), rel=1e-5
    )


class OneQuery(Scores):
    """Every query is the same: a score is a weight of the item."""

    def __init__(self, weights):
        super().__init__(int(weights.shape[0]))
        self.weights = weights

    def of(self, ids):
        return tf.gather(self.weights, ids - 1)

    def shared(self, ids):
        return self.of(ids)[tf.newaxis] + tf.zeros([4096, 1])


PROBABILITY = np.array([0.4, 0.1, 0.2, 0.05, 0.15, 0.1])
POPULAR = np.array([1, 2, 3, 4, 5, 15])
ODDS = np.log(PROBABILITY / (1 - PROBABILITY))
DRAWN = np.log(POPULAR / 30)
# Softmax masks hits, which are rare only where no item has a large part.
MANY = np.linspace(1, 4, 64)[np.random.default_rng(0).permutation(64)]
MANY /= MANY.sum()
MANY_POPULAR = np.arange(10, 74)
MANY_DRAWN = np.log(MANY_POPULAR / MANY_POPULAR.sum())


def trained(loss, probability, steps):
    """The scores of items that are targets with that probability, up to noise."""
    weights = tf.Variable(tf.zeros(len(probability)))
    ends = np.round(np.cumsum(probability) * 4096).astype(int)
    targets = np.repeat(np.arange(1, len(probability) + 1), np.diff(ends, prepend=0))
    targets = tf.constant(targets, tf.int32)
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.ExponentialDecay(0.2, steps // 10, 0.7)
    )

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = loss(targets, OneQuery(weights))
        optimizer.apply_gradients([(tape.gradient(value, weights), weights)])

    for _ in range(steps):
        step()
    return weights.numpy()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "want"),
    [
        ({}, ODDS - DRAWN - np.log(3)),
        ({"logq": True}, ODDS),
        ({"logq": True, "popularity": ItemFrequency(POPULAR)}, ODDS - DRAWN),
    ],
)
def test_what_the_score_estimates(more, want):
    negatives = Popularity(3, POPULAR, alpha=1.0, shared=False, seed=1)
    got = trained(BinaryCrossEntropy(negatives=negatives, **more), PROBABILITY, steps=300)
    np.testing.assert_allclose(got, want, atol=0.06)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "want"),
    [
        ({}, np.log(MANY)),
        ({"logq": False}, np.log(MANY) - MANY_DRAWN),
        ({"popularity": ItemFrequency(MANY_POPULAR)}, np.log(MANY) - MANY_DRAWN),
    ],
)
def test_what_the_score_of_a_softmax_estimates(more, want):
    negatives = Popularity(60, MANY_POPULAR, alpha=1.0, shared=False, seed=1)
    got = trained(SampledSoftmax(negatives=negatives, **more), MANY, steps=90)
    np.testing.assert_allclose(got - got.mean(), want - want.mean(), atol=0.15)


@pytest.mark.parametrize("loss", [BinaryCrossEntropy, SquaredError])
def test_wrong_weight(loss):
    with pytest.raises(ValueError, match="negative_weight must be positive"):
        loss(negative_weight=0.0)
