"""Weights of interactions: a row of weight 2 counts as the row twice, in every model."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import tfrecs
from tests.distribution.public_models import EXAMPLES, frame, split_of
from tfrecs._keras import tf
from tfrecs.data import Interactions, RowSplit, leave_last_out, read
from tfrecs.losses import BPR, WARP, BinaryCrossEntropy, SampledSoftmax, SquaredError

# Where negatives are taken from the batch, a row twice is another batch.
NAMES = [name for name in EXAMPLES if "of the batch" not in name]


def loss_and_gradients(example, batch):
    """Of a new model, so that what it draws is the same each time."""
    model = example.make()
    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch, training=True)
    gradients = tape.gradient(loss, model.trainable_variables)
    return float(loss), [None if g is None else tf.convert_to_tensor(g).numpy() for g in gradients]


def assert_same(one, other):
    assert one[0] == pytest.approx(other[0], rel=1e-5)
    for a, b in zip(one[1], other[1], strict=True):
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)


def weighted(batch, weights):
    """The batch with a weight for each row, and of windows for each position."""
    weights = tf.constant(weights, tf.float32)
    if "target" in batch:
        weights = tf.where(batch["target"] > 0, weights[:, tf.newaxis], 0.0)
    return {**batch, "sample_weight": weights}


# Models that score by the same loss code as others are slow ones.
FEW = ("SASRec", "TwoTower", "MatrixFactorization", "DeepCross")


@pytest.fixture(params=[n if n in FEW else pytest.param(n, marks=pytest.mark.slow) for n in NAMES])
def example(request):
    return EXAMPLES[request.param]


@pytest.mark.slow
def test_a_weight_of_2_is_the_row_twice(example):
    batch = next(iter(example.batches(example.make())))
    rows = len(next(iter(batch.values())))
    weights = np.ones(rows)
    weights[0] = 2
    twice = {name: tf.concat([x, x[:1]], 0) for name, x in batch.items()}
    assert_same(
        loss_and_gradients(example, weighted(batch, weights)), loss_and_gradients(example, twice)
    )
    # A weight of 0 is no row, and weights that are all 1 change nothing.
    weights[0] = 0
    without = {name: x[1:] for name, x in batch.items()}
    if rows > 1:
        assert_same(
            loss_and_gradients(example, weighted(batch, weights)),
            loss_and_gradients(example, without),
        )
    plain = loss_and_gradients(example, batch)
    assert_same(loss_and_gradients(example, weighted(batch, np.ones(rows))), plain)
    nothing = loss_and_gradients(example, weighted(batch, np.zeros(rows)))
    assert np.isfinite(nothing[0])
    assert all(np.isfinite(g).all() for g in nothing[1] if g is not None)


@pytest.mark.parametrize(
    "loss",
    [
        lambda: BPR(6, shared=True, seed=1),
        lambda: WARP(6, shared=True, seed=1),
        lambda: BinaryCrossEntropy(6, shared=True, seed=1),
        lambda: SquaredError(6, shared=True, seed=1),
        lambda: SampledSoftmax(6, seed=1),
        lambda: tfrecs.losses.GBCE(6, shared=True, seed=1),
        lambda: tfrecs.losses.WholeDataSquaredError(),
    ],
)
def test_every_loss(loss):
    plain = EXAMPLES["MatrixFactorization"]
    example = dataclasses.replace(plain, arguments=lambda: {**plain.arguments(), "loss": loss()})
    batch = next(iter(example.batches(example.make())))
    rows = len(batch["item_id"])
    weights = np.ones(rows)
    weights[0] = 2
    twice = {name: tf.concat([x, x[:1]], 0) for name, x in batch.items()}
    assert_same(
        loss_and_gradients(example, weighted(batch, weights)), loss_and_gradients(example, twice)
    )


@pytest.mark.parametrize(
    "name",
    [
        "MatrixFactorization",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("SASRec", "TwoTower", "DeepCross")
        ),
    ],
)
def test_the_column_reaches_the_batches(name):
    log = Interactions(frame().assign(weight=lambda rows: rows["item_id"] / 100.0))
    model = EXAMPLES[name].model
    split = getattr(tfrecs.data, model.default_split)(log)
    made = model.from_split(split)
    for static in (False, True):
        batch = next(iter(made.examples(split.train).batch(4, static=static)))
        items = batch["target"] if "target" in batch else batch["item_id"]
        raw = np.append(split.items.ids, 0)[items.numpy() - 1]
        np.testing.assert_allclose(batch["sample_weight"], raw / 100.0, rtol=1e-6)
    assert isinstance(split, RowSplit) or split.train.weights is not None
    assert "sample_weight" not in next(iter(EXAMPLES[name].batches(EXAMPLES[name].make())))
    made.compile("adam")
    history = made.fit(made.examples(split.train).batch(16), verbose=0)
    assert np.isfinite(history.history["loss"][0])


def test_the_mean_loss_of_an_epoch_is_weighted():
    log = Interactions(frame().assign(weight=lambda rows: 1.0 + (rows["user_id"] % 2)))
    split = leave_last_out(log)
    model = tfrecs.models.MatrixFactorization.from_split(split, dim=4, seed=1)
    model.compile(tf.keras.optimizers.SGD(0.0))
    pairs = model.examples(split.train)
    whole = next(iter(pairs.batch(len(pairs))))
    want = float(model.compute_loss(whole))
    got = model.fit(pairs.batch(7), verbose=0).history["loss"][0]
    assert got == pytest.approx(want, rel=1e-5)


def test_columns_of_weights(tmp_path):
    rows = {"user_id": [1, 1, 2], "item_id": [1, 2, 1], "w": [1, 2.5, 0]}
    log = Interactions(rows, weight="w")
    assert log.frame["weight"].tolist() == [1, 2.5, 0]
    assert "w" not in log.frame
    assert "weighted" in repr(log)
    assert not Interactions(rows).has_weights
    kilograms = {**rows, "weight": [0.3, 0.2, 0.1]}
    assert Interactions(kilograms).has_weights
    assert not Interactions(kilograms, weight=None).has_weights
    for bad in (-1, np.nan, np.inf, "x", None, 1e300):
        with pytest.raises(
            ValueError, match="column 'w', row 2: a weight is a number of 0 or more"
        ):
            Interactions({**rows, "w": pd.Series([1, bad, 1], dtype=object)}, weight="w")
    with pytest.raises(ValueError, match="all weights are 0"):
        Interactions({**rows, "w": [0, 0, 0]}, weight="w")
    with pytest.raises(ValueError, match="no column 'v'.*weight="):
        Interactions(rows, weight="v")
    pd.DataFrame(rows).to_csv(tmp_path / "log.csv", index=False)
    assert read(tmp_path / "log.csv", weight="w").has_weights


@pytest.mark.slow
def test_a_job_with_weights(tmp_path):
    path = tmp_path / "log.csv"
    frame().assign(importance=lambda rows: 1 + rows["item_id"] % 3).to_csv(path, index=False)
    arguments = {"data": path, "model": "matrix-factorization", "model_args": {"dim": 4}}
    arguments |= {"epochs": 1, "batch_size": 64}
    weighted_run = tfrecs.train(
        tmp_path / "weighted", data_args={"weight": "importance"}, **arguments
    )
    assert weighted_run.config["data_args"] == {"weight": "importance"}
    plain = tfrecs.train(tmp_path / "plain", **arguments)
    one, other = (run.load_model().get_weights() for run in (weighted_run, plain))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    # The same command again finds a finished run.
    again = tfrecs.train(tmp_path / "weighted", data_args={"weight": "importance"}, **arguments)
    assert again.metrics == weighted_run.metrics
    assert split_of(tfrecs.models.SASRec).train.weights is None
