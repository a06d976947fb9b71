"""The ranking task beside TFRS's, and with losses of lists."""

import json

import numpy as np
import pytest

from tfrecs._keras import keras, tf, tfrs
from tfrecs.losses import ListMLE, ListNet, PairwiseHinge, PairwiseLogistic
from tfrecs.tasks import Ranking

RNG = np.random.default_rng(0)
LABELS = (RNG.random(6) < 0.5).astype(np.float32)
PREDICTIONS = RNG.random(6).astype(np.float32)
WEIGHTS = RNG.random(6).astype(np.float32)
BCE = -np.where(LABELS > 0, np.log(PREDICTIONS), np.log(1 - PREDICTIONS))


def results(task):
    return {metric.name: float(metric.result()) for metric in task.metrics}


def metrics():
    return {
        "metrics": [keras.metrics.BinaryAccuracy(name="accuracy")],
        "prediction_metrics": [keras.metrics.Mean(name="prediction_mean")],
        "label_metrics": [keras.metrics.Mean(name="label_mean")],
        "loss_metrics": [keras.metrics.Mean(name="loss_mean")],
    }


@pytest.mark.parametrize("weights", [None, [1.0, 1.0]])
def test_by_hand(weights):
    """TFRS's own test."""
    task = Ranking(**metrics())
    weights = None if weights is None else tf.constant(weights)
    loss = task(
        predictions=tf.constant([[1.0], [0.3]]),
        labels=tf.constant([[1.0], [1.0]]),
        sample_weight=weights,
    )
    want = -(np.log(1) + np.log(0.3)) / 2
    assert float(loss) == pytest.approx(want, rel=1e-5)
    expected = {"accuracy": 0.5, "label_mean": 1.0, "prediction_mean": 0.65, "loss_mean": want}
    assert results(task) == pytest.approx(expected, rel=1e-5)


def test_every_argument_of_tfrs_is_taken_at_its_place():
    task = Ranking(keras.losses.MeanSquaredError(), *metrics().values(), "mine")
    theirs = tfrs.tasks.Ranking(keras.losses.MeanSquaredError(), *metrics().values(), "mine")
    arguments = (LABELS[:, None], PREDICTIONS[:, None], np.ones((6, 1), np.float32), True, True)
    assert float(task(*arguments)) == pytest.approx(float(theirs(*arguments)), rel=1e-6)
    assert results(task) == pytest.approx(results(theirs), rel=1e-6)
    assert task.name == "mine"
    assert isinstance(task, tfrs.tasks.Task)


@pytest.mark.parametrize("label_shape", [(6,), (6, 1)])
@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_weights_weigh_whatever_the_shapes(label_shape, shape):
    """Keras takes the mean over the last axis, of which vectors have but the batch."""
    task = Ranking(loss_metrics=[keras.metrics.Mean("l")])
    got = task(LABELS.reshape(label_shape), PREDICTIONS.reshape(shape), WEIGHTS)
    want = (BCE * WEIGHTS).sum() / WEIGHTS.sum()
    assert float(got) == pytest.approx(want, rel=1e-5)
    assert results(task)["l"] == pytest.approx(want, rel=1e-5)


def test_classes():
    logits = RNG.normal(size=(6, 3)).astype(np.float32)
    labels = np.array([0, 2, 1, 1, 0, 2])
    task = Ranking(
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="a")],
    )
    each = np.log(np.exp(logits).sum(1)) - logits[np.arange(6), labels]
    want = (each * WEIGHTS).sum() / WEIGHTS.sum()
    assert float(task(labels, logits, WEIGHTS)) == pytest.approx(want, rel=1e-5)
    hits = (logits.argmax(1) == labels) * WEIGHTS
    assert results(task)["a"] == pytest.approx(hits.sum() / WEIGHTS.sum(), rel=1e-5)


def test_reductions():
    loss = Ranking(keras.losses.BinaryCrossentropy(reduction="sum"))(LABELS, PREDICTIONS, WEIGHTS)
    assert float(loss) == pytest.approx((BCE * WEIGHTS).sum(), rel=1e-5)
    loss = Ranking(keras.losses.BinaryCrossentropy(reduction="none"))(LABELS, PREDICTIONS, WEIGHTS)
    np.testing.assert_allclose(loss, BCE * WEIGHTS, rtol=1e-4)


def test_a_weightless_batch_has_no_loss():
    assert float(Ranking()(LABELS, PREDICTIONS, np.zeros(6, np.float32))) == 0


def test_metrics_not_computed_read_nan():
    task = Ranking(**metrics())
    task(LABELS, PREDICTIONS, compute_metrics=False)
    assert np.isnan(list(results(task).values())).all()
    task(LABELS, PREDICTIONS)
    assert not np.isnan(list(results(task).values())).any()


LISTS = np.array([[1, 0, 2, 0], [0, 1, -1, -1], [0, 0, 0, 0], [3, -1, -1, -1]])
SCORES = RNG.normal(size=LISTS.shape).astype(np.float32)


@pytest.mark.parametrize(
    "loss", [PairwiseLogistic(), PairwiseHinge(2.0), ListNet(), ListNet("proportional"), ListMLE()]
)
def test_the_mean_is_over_lists_that_have_something_to_order(loss):
    weights = np.array([1.0, 3.0, 0.5, 7.0], np.float32)
    used = loss.list_weight(tf.constant(LISTS)).numpy() * weights
    want = (loss.call(LISTS, SCORES) * used).numpy().sum() / used.sum()
    task = Ranking(loss)
    assert float(task(LISTS, SCORES, weights)) == pytest.approx(want, rel=1e-5)
    # A list of nothing but padding changes nothing.
    more = np.concatenate([LISTS, np.full((1, 4), -1)])
    value = task(more, np.concatenate([SCORES, SCORES[:1]]), np.append(weights, np.float32(9)))
    assert float(value) == pytest.approx(want, rel=1e-5)


def test_float32_under_mixed_precision():
    """3.7 is no float16 number, and 70,000 not even near one."""
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        task = Ranking(keras.losses.MeanAbsoluteError())
        value = task(tf.constant([3.7, 70_000.0]), tf.constant([3.0, 69_999.0]))
        half = task(tf.constant([3.7]), tf.constant([3.0], tf.float16))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert float(value) == pytest.approx(0.85, rel=1e-5)
    assert float(half) == pytest.approx(0.7, rel=1e-5)
    assert value.dtype == half.dtype == tf.float32


@pytest.mark.parametrize(
    "loss", [None, keras.losses.Huber(2.0, reduction="sum"), PairwiseHinge(0.5), ListNet()]
)
def test_config_round_trip_with_any_loss(loss):
    task = Ranking(loss, **metrics())
    again = Ranking.from_config(json.loads(json.dumps(task.get_config())))
    assert again.get_config() == task.get_config()
    labels, scores = np.abs(LISTS), np.abs(SCORES) / 4
    assert float(again(labels, scores)) == pytest.approx(float(task(labels, scores)), rel=1e-6)
    assert results(again) == pytest.approx(results(task), rel=1e-6)


@pytest.mark.parametrize("weight", [2.0, [1.0, 3.0], [[1.0], [3.0]]])
def test_weights_as_keras_takes_them(weight):
    """TFRS gives them to the Keras loss as they are."""
    labels, predictions = tf.constant([[1.0], [0.0]]), tf.constant([[0.7], [0.2]])
    loss = keras.losses.BinaryCrossentropy(reduction="sum")
    want = float(loss(labels, predictions, sample_weight=tf.constant(weight)))
    got = Ranking(loss)(labels, predictions, sample_weight=tf.constant(weight))
    assert float(got) == pytest.approx(want, rel=1e-5)


def test_weights_within_a_list_are_refused():
    weight = tf.constant([[1.0, 3.0], [0.5, 2.0]])
    with pytest.raises(ValueError, match="one weight for each row"):
        Ranking()(tf.zeros([2, 2]), tf.zeros([2, 2]), sample_weight=weight)
