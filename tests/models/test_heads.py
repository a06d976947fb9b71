"""DeepCross with several heads: what they compute, learn and refuse."""

import json

import numpy as np
import pandas as pd
import pytest

import tfrecs
from tfrecs._keras import keras, tf
from tfrecs.data import Interactions, Label, Numeric, Rows, Schema, click_through
from tfrecs.models import DeepCross
from tfrecs.tasks import MultiTask, Ranking

SCHEMA = Schema({"a": Numeric(), "b": Numeric(), "click": Label(), "rating": Label(optional=True)})


@pytest.fixture(scope="module")
def rows():
    """Clicks follow a * b, ratings a - b; the rating of every third row is missing."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=600), "b": rng.normal(size=600)})
    frame["click"] = (frame.a * frame.b > 0).astype(int)
    frame["rating"] = (30 + frame.a - frame.b).where(frame.index % 3 > 0)
    return Rows.from_frame(frame, SCHEMA)


def multi_task(weights=None, loss=None):
    click = loss or keras.losses.BinaryCrossentropy(from_logits=True)
    heads = {"click": Ranking(click), "rating": Ranking(keras.losses.MeanSquaredError())}
    return MultiTask(heads, weights)


def make(rows=None, **arguments):
    defaults = {"dim": 4, "cross_layers": 2, "deep_units": [16], "dropout": 0.0, "seed": 1}
    model = DeepCross(SCHEMA, **{**defaults, "task": multi_task(), **arguments})
    if rows is not None:
        model.adapt(rows)
    return model


def first_batch(rows, size=12):
    return next(iter(rows.batch(size, seed=None)))


@pytest.mark.parametrize("experts", [pytest.param(None, marks=pytest.mark.slow), 3])
def test_both_heads_learn(rows, experts):
    model = make(rows, task=multi_task("uncertainty"), task_experts=experts)
    model.compile(tfrecs.optimizers.Adam(0.02))
    train, held = rows.take(np.arange(450)), rows.take(np.arange(450, 600))
    logs = model.fit(train.batch(50), epochs=12, validation_data=held, verbose=0).history
    names = ["click/AUC", "click/LogLoss", "rating/RMSE", "rating/MAE"]
    assert [name for name in logs if "val_" in name] == [f"val_{name}" for name in names]
    assert (model.monitor, model.monitor_mode) == ("val_click/AUC", "max")
    report = tfrecs.evaluation.evaluate_rows(model, held, train=train)
    assert report.metrics == pytest.approx({name: logs[f"val_{name}"][-1] for name in names})
    assert report.metrics["click/AUC"] > 0.9
    assert report.metrics["rating/RMSE"] < 0.5 * report.baselines["mean"]["rating/RMSE"]
    # The weights of the heads are learned by the model's own optimizer.
    (variances,) = [v for v in model.trainable_variables if "log_variance" in v.name]
    assert (np.abs(variances) > 0.02).all()
    predicted = model.predict(held.batch(64, seed=None), verbose=0)
    assert {name: x.shape for name, x in predicted.items()} == {"click": (150,), "rating": (150,)}


def test_a_row_without_a_label_counts_for_the_other_heads_alone(rows):
    batch = first_batch(rows)
    model = make(rows)
    found = {name: x.numpy().astype(np.float64) for name, x in model(batch).items()}
    click, rating = batch["click"].numpy(), batch["rating"].numpy()
    known = ~np.isnan(rating)
    assert known.sum() == 8
    cross_entropy = -np.where(click > 0, np.log(found["click"]), np.log(1 - found["click"])).mean()
    squared = np.square(found["rating"] - rating)[known].mean()
    np.testing.assert_allclose(model.compute_loss(batch), cross_entropy + squared, rtol=1e-5)
    # None has a rating: what is left is the loss of clicks, and no gradient is lost to NaN.
    batch["rating"] = tf.fill([12], np.float32(np.nan))
    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch, training=True)
    np.testing.assert_allclose(loss, cross_entropy, rtol=1e-5)
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(np.isfinite(tf.convert_to_tensor(g)).all() for g in gradients)


def test_a_label_that_is_not_optional_must_be_there(rows):
    batch = first_batch(rows)
    batch["click"] = tf.tensor_scatter_nd_update(batch["click"], [[0]], [np.float32(np.nan)])
    assert np.isnan(make(rows).compute_loss(batch))


# Quick: the task of several heads in tests/tasks.
@pytest.mark.slow
@pytest.mark.parametrize("experts", [None, 2])
def test_one_device_equals_two(rows, experts, two_devices):
    out = []
    for strategy in (tf.distribute.OneDeviceStrategy("cpu:0"), two_devices):
        with strategy.scope():
            model = make(rows, task=multi_task("uncertainty"), task_experts=experts)
            model.compile(keras.optimizers.SGD(0.01))
        # Each replica has another number of ratings.
        history = model.fit(rows.take(np.arange(37)).batch(14), epochs=2, verbose=0).history
        out.append([history["loss"], *model.get_weights()])
    for one, two in zip(*out, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5)


def test_losses_of_probabilities_and_of_log_odds_are_one(rows):
    batch = first_batch(rows)
    want = make(rows).compute_loss(batch)
    task = multi_task(loss=keras.losses.BinaryCrossentropy())
    np.testing.assert_allclose(make(rows, task=task).compute_loss(batch), want, rtol=1e-4)


def test_one_head_may_predict_a_number(rows):
    schema = SCHEMA.with_columns(click=None)
    task = Ranking(keras.losses.MeanSquaredError())
    model = DeepCross(schema, dim=4, deep_units=[8], task=task, seed=1)
    model.adapt(rows)
    assert (model.monitor, model.monitor_mode) == ("val_RMSE", "min")
    batch = first_batch(rows)
    assert abs(float(tf.reduce_mean(model(batch))) - 30) < 3  # No sigmoid; where the labels are.
    known = ~np.isnan(batch["rating"].numpy())
    want = np.square(model(batch).numpy() - batch["rating"].numpy())[known].mean()
    np.testing.assert_allclose(model.compute_loss(batch), want, rtol=1e-5)
    report = tfrecs.evaluation.evaluate_rows(model, rows)
    assert list(report.metrics) == ["RMSE", "MAE"]
    assert report.num_rows == 400


def test_score_is_that_of_the_first_head():
    log = Interactions(
        {
            "user_id": [1, 2, 3, 1, 2, 3] * 4,
            "item_id": [1, 2, 3, 2, 3, 1] * 4,
            "timestamp": np.arange(24),
            "rating": [5.0, 1.0] * 12,
            "seconds": [30.0, None, 50.0] * 8,
        }
    )
    context = Schema({"seconds": Label(optional=True)})
    split = click_through(log, context=context, validation=0.2, test=0.2)
    heads = {"rating": Ranking(keras.losses.BinaryCrossentropy(from_logits=True))}
    heads["seconds"] = Ranking(keras.losses.MeanSquaredError())
    model = DeepCross.from_split(split, dim=4, deep_units=[4], task=MultiTask(heads), seed=1)
    items = tf.constant([[1, 2, 3], [3, 2, 1]])
    got = model.score({"user_id": tf.constant([1, 2])}, items)
    pairs = {"user_id": tf.constant([1, 1, 1, 2, 2, 2]), "item_id": tf.reshape(items, [-1])}
    want = tf.reshape(model.logits(pairs)["rating"], [2, 3])
    np.testing.assert_allclose(got, want, rtol=1e-5)
    retriever = tfrecs.models.TwoTower(split.items, split.users, dim=4, max_length=2, seed=1)
    both = tfrecs.models.RetrieveThenRank(retriever, model, num_candidates=3)
    features = {"user_id": tf.constant([1, 2]), "history": tf.zeros([2, 2], tf.int32)}
    np.testing.assert_allclose(both.score(features, items), want, rtol=1e-5)


@pytest.mark.parametrize("experts", [None, 2])
def test_config_round_trip(rows, experts):
    model = make(rows, task=multi_task("uncertainty"), task_experts=experts)
    described = json.loads(json.dumps(model.description()))
    again = keras.utils.deserialize_keras_object(described)
    again.set_weights(model.get_weights())
    assert again.get_config() == model.get_config()
    for name, found in again(first_batch(rows)).items():
        np.testing.assert_allclose(found, model(first_batch(rows))[name], rtol=1e-5)


def test_a_config_from_before_there_were_heads_still_loads():
    model = DeepCross(Schema({"a": Numeric(), "y": Label()}), dim=4, deep_units=[4], seed=1)
    config = json.loads(json.dumps(model.get_config()))
    del config["task_experts"], config["context"]["config"]["columns"]["y"]["optional"]
    again = DeepCross.from_config(config)
    assert [w.name for w in again.weights] == [w.name for w in model.weights]
    assert any(w.name == "output/kernel:0" for w in model.weights)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("experts", [None, 2])
def test_large_labels_under_mixed_precision(rows, policy, experts):
    """Seconds of a film are more than float16 holds beside a fraction."""
    seconds = Rows({**rows.columns, "rating": rows.columns["rating"] * 3000}, rows.label_names)
    keras.mixed_precision.set_global_policy(policy)
    try:
        model = make(seconds, task_experts=experts)
        found = model(first_batch(seconds))["rating"]
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, 90_000, atol=1000)


def test_refusals():
    with pytest.raises(ValueError, match="the labels click, rating: say what is to be learned"):
        DeepCross(SCHEMA)
    with pytest.raises(ValueError, match="labels of the context, click, rating, and not seconds"):
        DeepCross(SCHEMA, task=MultiTask({"click": Ranking(), "seconds": Ranking()}))
    with pytest.raises(ValueError, match="task_experts are shared by several heads"):
        DeepCross(SCHEMA.with_columns(rating=None), task_experts=2)
    with pytest.raises(ValueError, match="The context has no label"):
        DeepCross(Schema({"a": Numeric()}), task=multi_task())
    with pytest.raises(ValueError, match="at least one head"):
        MultiTask({}, name="none")
