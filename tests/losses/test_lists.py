"""Pairwise and listwise losses against loops over their formulas."""

import numpy as np
import pytest

from tfrecs._keras import keras, tf
from tfrecs.losses import ListMLE, ListNet, PairwiseHinge, PairwiseLogistic

RNG = np.random.default_rng(0)
LABELS = np.array(
    [[1, 0, 2, 0, -1], [0, 1, 0, -1, -1], [3, 1, 0, 4, 2], [0, 0, 0, 0, 0], [2, -1, -1, -1, -1]]
)
SCORES = RNG.normal(size=LABELS.shape).astype(np.float32)


def rows():
    for labels, scores in zip(LABELS, SCORES, strict=True):
        yield labels[labels >= 0], scores[labels >= 0].astype(np.float64)


def pairs(loss):
    out = []
    for y, s in rows():
        found = [loss(s[i] - s[j]) for i in range(len(y)) for j in range(len(y)) if y[i] > y[j]]
        out.append(np.mean(found) if found else 0.0)
    return out


def list_net(targets):
    out = []
    for y, s in rows():
        t = np.exp(y) / np.exp(y).sum() if targets == "softmax" else y / max(y.sum(), 1)
        out.append(-(t * (s - np.log(np.exp(s).sum()))).sum())
    return out


def list_mle():
    out = []
    for y, s in rows():
        s = s[np.argsort(-y, kind="stable")]
        out.append(sum(np.log(np.exp(s[i:]).sum()) - s[i] for i in range(len(s))))
    return out


CASES = {
    "logistic": (
        PairwiseLogistic(),
        lambda: pairs(lambda d: np.log1p(np.exp(-d))),
        [1, 1, 1, 0, 0],
    ),
    "hinge": (PairwiseHinge(), lambda: pairs(lambda d: max(0, 1 - d)), [1, 1, 1, 0, 0]),
    "wide hinge": (PairwiseHinge(3.0), lambda: pairs(lambda d: max(0, 3 - d)), [1, 1, 1, 0, 0]),
    "ListNet": (ListNet(), lambda: list_net("softmax"), [1, 1, 1, 1, 0]),
    "ListNet of clicks": (
        ListNet("proportional"),
        lambda: list_net("proportional"),
        [1, 1, 1, 0, 0],
    ),
    "ListMLE": (ListMLE(), list_mle, [1, 1, 1, 1, 0]),
}


@pytest.mark.parametrize("name", CASES)
def test_formula(name):
    loss, formula, _ = CASES[name]
    np.testing.assert_allclose(loss.call(LABELS, SCORES), formula(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_which_lists_have_something_to_order(name):
    loss, _, weight = CASES[name]
    np.testing.assert_array_equal(loss.list_weight(tf.constant(LABELS)), weight)


@pytest.mark.parametrize("name", CASES)
def test_padding_has_no_part(name):
    loss, _, _ = CASES[name]
    garbage = np.where(LABELS < 0, np.float32(np.nan), SCORES)
    with tf.GradientTape() as tape:
        scores = tf.constant(garbage)
        tape.watch(scores)
        value = tf.reduce_sum(loss.call(LABELS, scores))
    gradient = tape.gradient(value, scores).numpy()
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    assert (gradient[LABELS < 0] == 0).all()


@pytest.mark.parametrize("name", CASES)
def test_descent_orders_the_lists(name):
    loss, _, _ = CASES[name]
    scores = tf.Variable(SCORES)

    @tf.function
    def descend():
        for _ in tf.range(400):
            with tf.GradientTape() as tape:
                value = tf.reduce_sum(loss.call(LABELS, scores))
            scores.assign_sub(0.5 * tape.gradient(value, scores))

    descend()
    if name == "ListNet of clicks":  # Takes any order of items without clicks.
        assert np.argmax(scores[1, :3]) == 1
    else:
        assert np.argsort(-scores.numpy()[2]).tolist() == [3, 0, 4, 1, 2]


@pytest.mark.parametrize("name", CASES)
def test_a_keras_loss_like_any_other(name):
    loss, formula, _ = CASES[name]
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert again.get_config() == loss.get_config()
    value = again(LABELS, SCORES, sample_weight=np.arange(5.0))
    assert float(value) == pytest.approx((np.arange(5) * formula()).sum() / 5, rel=1e-5)


def test_one_positive_is_bpr():
    labels = np.array([[1, 0, 0, 0]])
    scores = np.array([[0.3, 1.0, -2.0, 0.5]], np.float32)
    want = np.mean([-np.log(1 / (1 + np.exp(s - 0.3))) for s in scores[0, 1:]])
    assert float(PairwiseLogistic()(labels, scores)) == pytest.approx(want, rel=1e-5)


def test_wrong_targets():
    with pytest.raises(ValueError, match="softmax or proportional"):
        ListNet("uniform")
