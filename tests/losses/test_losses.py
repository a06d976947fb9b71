"""Losses against their formulas, in numpy."""

import numpy as np
import pytest

from tfrecs._keras import keras, tf
from tfrecs.losses import GBCE, BinaryCrossEntropy, DotProductScores, FullSoftmax, SampledSoftmax
from tfrecs.negatives import Sample, Uniform


class Fixed(keras.layers.Layer):
    """Negatives that a test chose."""

    def __init__(self, ids, log_probability=None):
        super().__init__()
        self.ids = np.asarray(ids, np.int32)
        self.log_probability = log_probability

    def call(self, positives, num_items, user_ids=None, scores=None):
        logq = np.full(num_items + 1, -np.log(num_items), np.float32)
        if self.log_probability is not None:
            logq[1:] = self.log_probability
        return Sample(
            tf.constant(self.ids),
            tf.gather(logq, self.ids),
            tf.gather(tf.constant(logq), positives),
        )


RNG = np.random.default_rng(0)
QUERIES = RNG.normal(size=(4, 6)).astype(np.float32)
ITEMS = RNG.normal(size=(9, 6)).astype(np.float32)
TARGETS = np.array([3, 1, 9, 3], np.int32)
WEIGHTS = np.array([1.0, 0.0, 2.0, 0.5], np.float32)
ALL = QUERIES @ ITEMS.T
POSITIVE = ALL[np.arange(4), TARGETS - 1]


def scores(queries=QUERIES, items=ITEMS):
    items = tf.constant(items)
    return DotProductScores(
        tf.constant(queries), len(ITEMS), lambda ids: tf.gather(items, ids - 1), lambda: items
    )


def weighted_mean(losses):
    return (losses * WEIGHTS).sum() / WEIGHTS.sum()


def softplus(x):
    return np.log1p(np.exp(x))


def test_scores():
    s = scores()
    np.testing.assert_allclose(s.of(tf.constant(TARGETS)), POSITIVE, rtol=1e-5)
    own = np.array([[1, 2], [3, 4], [5, 6], [7, 8]])
    np.testing.assert_allclose(
        s.sampled(tf.constant(own)), np.take_along_axis(ALL, own - 1, 1), rtol=1e-5
    )
    np.testing.assert_allclose(s.sampled(tf.constant([2, 5])), ALL[:, [1, 4]], rtol=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_full_softmax(smoothing):
    lse = np.log(np.exp(ALL).sum(1))
    expected = lse - (1 - smoothing) * POSITIVE - smoothing * ALL.mean(1)
    loss = FullSoftmax(label_smoothing=smoothing)(TARGETS, scores(), WEIGHTS)
    assert float(loss) == pytest.approx(weighted_mean(expected), rel=1e-5)
    unweighted = FullSoftmax(label_smoothing=smoothing)(TARGETS, scores())
    assert float(unweighted) == pytest.approx(expected.mean(), rel=1e-5)


@pytest.mark.parametrize("logq", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_sampled_softmax(shared, logq):
    # 3 is the target of the first and the last query: a hit, to be masked there and only there.
    ids = [3, 5, 5, 2] if shared else [[3, 5], [1, 2], [8, 7], [6, 6]]
    q = np.log(np.arange(1, 10) / 45)
    rows = np.broadcast_to(ids, (4, 4)) if shared else np.array(ids)
    negative = np.take_along_axis(ALL, rows - 1, 1) - (q[rows - 1] if logq else 0)
    positive = POSITIVE - (q[TARGETS - 1] if logq else 0)
    expected = []
    for n, p, row, target in zip(negative, positive, rows, TARGETS, strict=True):
        kept = n[row != target]
        expected.append(np.log(np.exp(p) + np.exp(kept).sum()) - p)
    loss = SampledSoftmax(4, logq=logq, negatives=Fixed(ids, q))(TARGETS, scores(), WEIGHTS)
    assert float(loss) == pytest.approx(weighted_mean(np.array(expected)), rel=1e-5)


def test_uniform_logq_changes_nothing():
    with_q, without = (
        SampledSoftmax(5, logq=logq, seed=4)(TARGETS, scores()) for logq in (True, False)
    )
    assert float(with_q) == pytest.approx(float(without), rel=1e-6)


@pytest.mark.parametrize("shared", [True, False])
def test_binary_cross_entropy(shared):
    ids = [3, 5] if shared else [[3, 5], [1, 2], [8, 7], [6, 6]]
    rows = np.broadcast_to(ids, (4, 2)) if shared else np.array(ids)
    negative = np.take_along_axis(ALL, rows - 1, 1)
    expected = -np.log(1 / (1 + np.exp(-POSITIVE)))
    expected += np.where(rows != TARGETS[:, None], -np.log(1 - 1 / (1 + np.exp(-negative))), 0).sum(
        1
    )
    loss = BinaryCrossEntropy(2, shared, negatives=Fixed(ids))(TARGETS, scores(), WEIGHTS)
    assert float(loss) == pytest.approx(weighted_mean(expected), rel=1e-5)


def test_gbce_equals_the_authors_transform():
    """The paper computes BCE of logits transformed in float64; ours needs no transform."""
    ids = [[4, 5], [2, 3], [8, 7], [6, 5]]
    k, t, n = 2, 0.75, len(ITEMS)
    alpha = k / (n - 1)
    beta = alpha * (t * (1 - 1 / alpha) + 1 / alpha)
    probability = 1 / (1 + np.exp(-POSITIVE.astype(np.float64)))
    transformed = np.log(1 / (probability**-beta - 1))
    negative = np.take_along_axis(ALL, np.array(ids) - 1, 1)
    expected = softplus(-transformed) + softplus(negative).sum(1)
    loss = GBCE(k, t, negatives=Fixed(ids))(TARGETS, scores(), WEIGHTS)
    assert float(loss) == pytest.approx(weighted_mean(expected), rel=1e-5)


def test_gbce_without_calibration_is_bce():
    ids = [[4], [2], [8], [6]]
    losses = [
        loss(1, negatives=Fixed(ids), **more)(TARGETS, scores())
        for loss, more in ((GBCE, {"t": 0.0}), (BinaryCrossEntropy, {}))
    ]
    assert float(losses[0]) == pytest.approx(float(losses[1]), rel=1e-6)


@pytest.mark.parametrize("loss", [FullSoftmax(), SampledSoftmax(5), BinaryCrossEntropy(), GBCE(3)])
def test_weightless_batch_has_no_loss(loss):
    assert float(loss(TARGETS, scores(), np.zeros(4, np.float32))) == 0


@pytest.mark.parametrize(
    "make",
    [
        FullSoftmax,
        lambda: SampledSoftmax(5, seed=1),
        lambda: BinaryCrossEntropy(1, seed=1),
        lambda: GBCE(3, seed=1),
    ],
)
def test_a_higher_target_score_is_a_lower_loss(make):
    toward = ITEMS[TARGETS - 1]
    # Each time a new one: the same negatives.
    assert float(make()(TARGETS, scores(toward))) < float(make()(TARGETS, scores(-toward)))


def test_a_changed_config_changes_the_default_negatives():
    config = SampledSoftmax(4, seed=1).get_config() | {"num_negatives": 9}
    assert SampledSoftmax.from_config(config).negatives.num_negatives == 9


def test_given_negatives_are_in_the_config():
    given = SampledSoftmax(negatives=Uniform(7, seed=3))
    again = SampledSoftmax.from_config(given.get_config())
    assert (again.negatives.num_negatives, again.negatives.seed) == (7, 3)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="label_smoothing"):
        FullSoftmax(label_smoothing=1.0)
    with pytest.raises(ValueError, match="num_negatives"):
        SampledSoftmax(0)
    with pytest.raises(ValueError, match="t must be in"):
        GBCE(t=2.0)
