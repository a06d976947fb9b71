"""Several heads: weights given and learned, metrics of each, shared experts below."""

import json

import numpy as np
import pytest

from tfrecs._keras import keras, tf, tfrs
from tfrecs.layers import MMoE
from tfrecs.tasks import MultiTask, Ranking

RNG = np.random.default_rng(0)
CLICK = np.array([1, 0, 1, 1], np.float32)
RATING = np.array([3, 5, 1, 4], np.float32)
LABELS = {"click": CLICK, "rating": RATING}
PREDICTIONS = {"click": np.float32([0.9, 0.4, 0.5, 0.8]), "rating": np.float32([3.5, 3, 1, 2])}
BCE = -np.log([0.9, 0.6, 0.5, 0.8])
SQUARED = np.array([0.25, 4, 0, 4])


def heads():
    return {
        "click": Ranking(metrics=[keras.metrics.AUC(name="click_auc")]),
        "rating": Ranking(
            keras.losses.MeanSquaredError(),
            metrics=[keras.metrics.RootMeanSquaredError(name="rating_rmse")],
        ),
    }


@pytest.mark.parametrize(
    ("weights", "want"),
    [
        (None, BCE.mean() + SQUARED.mean()),
        ({"click": 2.0, "rating": 0.1}, 2 * BCE.mean() + 0.1 * SQUARED.mean()),
        ("uncertainty", BCE.mean() + SQUARED.mean()),
    ],
)
def test_loss_and_metrics(weights, want):
    task = MultiTask(heads(), weights)
    assert float(task(LABELS, PREDICTIONS)) == pytest.approx(want, rel=1e-5)
    got = {metric.name: float(metric.result()) for metric in task.metrics}
    assert got["rating_rmse"] == pytest.approx(np.sqrt(SQUARED.mean()), rel=1e-5)
    assert got["click_auc"] == pytest.approx(1.0, rel=1e-3)


def test_learned_weights():
    task = MultiTask(heads(), "uncertainty")
    (variances,) = task.trainable_weights
    variances.assign([0.5, -0.3])
    want = BCE.mean() * np.exp(-0.5) + 0.25 + SQUARED.mean() * np.exp(0.3) - 0.15
    assert float(task(LABELS, PREDICTIONS)) == pytest.approx(want, rel=1e-5)


def test_rows_without_a_label_of_a_head():
    rated = np.array([1.0, 0.0, 1.0, 1.0], np.float32)
    got = MultiTask(heads())(LABELS, PREDICTIONS, {"rating": rated})
    assert float(got) == pytest.approx(BCE.mean() + SQUARED[[0, 2, 3]].mean(), rel=1e-5)
    got = MultiTask(heads())(LABELS, PREDICTIONS, rated)
    want = BCE[[0, 2, 3]].mean() + SQUARED[[0, 2, 3]].mean()
    assert float(got) == pytest.approx(want, rel=1e-5)


def test_a_batch_without_labels_of_a_head_leaves_its_learned_weight_alone():
    task = MultiTask(heads(), "uncertainty")
    (variances,) = task.trainable_weights
    variances.assign([0.5, -0.3])
    with tf.GradientTape() as tape:
        loss = task(LABELS, PREDICTIONS, {"rating": tf.zeros([4])})
    want = BCE.mean() * np.exp(-0.5) + 0.25
    assert float(loss) == pytest.approx(want, rel=1e-5)
    gradient = tape.gradient(loss, variances)
    np.testing.assert_allclose(gradient, [0.5 - BCE.mean() * np.exp(-0.5), 0], rtol=1e-5)


def test_metrics_not_computed_read_nan():
    task = MultiTask(heads())
    task(LABELS, PREDICTIONS, compute_metrics=False)
    assert np.isnan([float(metric.result()) for metric in task.metrics]).all()


@pytest.mark.parametrize("weights", [None, {"click": 2.0, "rating": 0.1}, "uncertainty"])
def test_config_round_trip(weights):
    task = MultiTask(heads(), weights, name="both")
    config = task.get_config()
    again = MultiTask.from_config(json.loads(json.dumps(config)))
    assert again.get_config() == config
    want = float(task(LABELS, PREDICTIONS))
    assert float(again(LABELS, PREDICTIONS)) == pytest.approx(want, rel=1e-6)


def test_errors():
    with pytest.raises(ValueError, match="weights must name the heads click, rating, not click"):
        MultiTask(heads(), {"click": 1.0})
    with pytest.raises(ValueError, match="'uncertainty'"):
        MultiTask(heads(), "learned")
    with pytest.raises(ValueError, match="labels must name the heads"):
        MultiTask(heads())({"click": CLICK}, PREDICTIONS)
    with pytest.raises(ValueError, match="predictions must name the heads"):
        MultiTask(heads())(LABELS, {"click": CLICK})
    same = {name: Ranking(metrics=[keras.metrics.AUC(name="auc")]) for name in ("a", "b")}
    with pytest.raises(ValueError, match="two metrics are named auc"):
        MultiTask(same)


class Model(tfrs.Model):
    """Click and rating from shared experts."""

    def __init__(self):
        super().__init__()
        self.experts = MMoE(2, 4, [16])
        self.outputs = {
            "click": keras.layers.Dense(1, "sigmoid"),
            "rating": keras.layers.Dense(1),
        }
        self.task = MultiTask(heads(), "uncertainty")

    def compute_loss(self, inputs, training=False):
        hidden = tf.unstack(self.experts(inputs["x"]), axis=-2)
        predictions = {
            name: head(x) for (name, head), x in zip(self.outputs.items(), hidden, strict=True)
        }
        return self.task(
            {"click": inputs["click"], "rating": inputs["rating"]}, predictions, training=training
        )


@pytest.mark.slow
def test_fit_with_shared_experts():
    keras.utils.set_random_seed(0)
    x = RNG.normal(size=(512, 4)).astype(np.float32)
    data = {
        "x": x,
        "click": (x[:, 0] > 0).astype(np.float32),
        "rating": (100 * (x[:, 1] + x[:, 2])).astype(np.float32),
    }
    model = Model()
    model.compile(keras.optimizers.Adam(0.02))
    dataset = tf.data.Dataset.from_tensor_slices(data).batch(64)
    logs = model.fit(dataset, epochs=30, verbose=0).history
    assert logs["click_auc"][-1] > 0.98
    assert logs["rating_rmse"][-1] < 0.3 * logs["rating_rmse"][0]
