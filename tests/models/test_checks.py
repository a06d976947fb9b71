"""Mistakes in what a model is given: one error that shows the right way, and nothing is broken."""

import numpy as np
import pandas as pd
import pytest

import tfrecs
from tfrecs._keras import keras, tf
from tfrecs.data import Interactions, leave_last_out
from tfrecs.losses import BPR, FullSoftmax, ListNet, Loss
from tfrecs.training import RunError

SMALL = {"dim": 4, "seed": 1}
LISTS = ("SASRec", "TwoTower", "MatrixFactorization", "GeneralizedMF", "MLP", "NeuralMF")


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(0)
    return leave_last_out(
        Interactions({"user_id": np.repeat(np.arange(9), 6), "item_id": rng.integers(0, 12, 54)})
    )


def model_of(name, split, **more):
    return getattr(tfrecs.models, name).from_split(split, **{**SMALL, **more})


@pytest.mark.parametrize("name", LISTS)
def test_losses_by_name_or_object(name, split):
    by_name = model_of(name, split, loss="bpr")
    assert isinstance(by_name.loss_function, BPR)
    assert isinstance(model_of(name, split, loss="Sampled-Softmax").loss_function, Loss)
    config = by_name.get_config()["loss"]
    assert isinstance(keras.utils.deserialize_keras_object(config), BPR)
    with pytest.raises(ValueError, match=f"{name}: there is no loss 'bqr'. Did you mean 'BPR'"):
        model_of(name, split, loss="bqr")
    wrong = [ListNet(), tfrecs.tasks.Retrieval(), keras.losses.BinaryCrossentropy(), BPR, 3]
    for loss in wrong:
        with pytest.raises(TypeError, match=f"{name}: loss must be an object of tfrecs.losses or"):
            model_of(name, split, loss=loss)
    if name in ("MLP", "NeuralMF"):
        with pytest.raises(TypeError, match="FullSoftmax needs scores that are products of vecto"):
            model_of(name, split, loss=FullSoftmax())
    else:
        assert isinstance(model_of(name, split, loss=FullSoftmax()).loss_function, FullSoftmax)


def test_what_compile_would_ignore_is_refused(split):
    model = model_of("MatrixFactorization", split)
    for argument, value in {
        "loss": "mse",
        "metrics": ["accuracy"],
        "loss_weights": [1.0],
        "weighted_metrics": ["mse"],
    }.items():
        with pytest.raises(ValueError, match=f"compile has no use for {argument}"):
            model.compile("adam", **{argument: value})
    with pytest.raises(ValueError, match=r"Give it by MatrixFactorization\(loss=...\)"):
        model.compile("adam", keras.losses.BinaryCrossentropy())
    model.compile("adam")
    with pytest.raises(ValueError, match="fit has no use for y"):
        model.fit({"user_id": np.ones(4), "item_id": np.ones(4)}, np.ones(4))
    with pytest.raises(ValueError, match="fit has no use for sample_weight"):
        model.fit({"user_id": np.ones(4), "item_id": np.ones(4)}, sample_weight=np.ones(4))


@pytest.mark.parametrize(
    "name",
    [
        "MatrixFactorization",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("TwoTower", "SASRec")),
    ],
)
def test_wrong_batches_are_refused_and_the_model_trains_afterwards(name, split):
    model = model_of(name, split)
    model.compile("adam")
    examples = model.examples(split.train)
    batches = examples.batch(4)
    one = next(iter(batches))
    first = next(iter(model.feature_ranks))
    wrong = {
        "ndarray": np.ones((4, 5), np.int32),
        "TrainSet": split.train,
        "Split": split,
        "Interactions": Interactions({"user_id": [1], "item_id": [1]}),
        "DataFrame": pd.DataFrame({"user_id": [1]}),
        "has to be made batches by .batch": examples,
        r"pairs \(x, y\)": batches.map(lambda batch: (batch, batch)),
        f"without {first!r}": {k: v for k, v in one.items() if k != first},
        "list": [one],
        "nothing": None,
        ".batch": batches.unbatch(),
    }
    for what, x in wrong.items():
        with pytest.raises(ValueError, match=f"{name} learns from batches of .*{what}.*The call"):
            model.fit(x, verbose=0)
    # A step whose tracing fails, as no check foresaw.
    with pytest.raises(Exception):  # noqa: B017
        model.fit(batches.map(lambda batch: {**batch, first: tf.cast(batch[first], tf.string)}))
    history = model.fit(batches, verbose=0)
    assert np.isfinite(history.history["loss"][0])


def test_splits_in_the_wrong_place(split):
    for cls in (tfrecs.models.SASRec, tfrecs.models.TwoTower):
        with pytest.raises(TypeError, match=rf"takes the items of a split.*{cls.__name__}.from"):
            cls(split)
    with pytest.raises(TypeError, match="items must be their vocabulary .split.items. or their nu"):
        tfrecs.models.SASRec(["a", "b"])
    model = model_of("MatrixFactorization", split)
    with pytest.raises(TypeError, match="takes a part of a split, not Split: split.test"):
        tfrecs.evaluate(model, split)
    rows = tfrecs.data.Rows({"a": np.ones(3)}, "a")
    with pytest.raises(TypeError, match="MatrixFactorization predicts no labels"):
        tfrecs.evaluate(model, rows)


def test_train_takes_names_and_says_what_data_are(split, tmp_path):
    log = Interactions({"user_id": [1], "item_id": [1]})
    for data in (log, log.frame, split):
        with pytest.raises(RunError, match="data must be the path of a log or the name of"):
            tfrecs.train(tmp_path / "run", data=data, model="sasrec")
    with pytest.raises(RunError, match="There is no model 'sasrek'. Did you mean 'SASRec'"):
        tfrecs.train(tmp_path / "run", model="sasrek")
    with pytest.raises(RunError, match="not an object, MatrixFactorization. Its arguments go into"):
        tfrecs.train(tmp_path / "run", model=model_of("MatrixFactorization", split))
    assert not (tmp_path / "run").exists()


def test_objects_of_keras_3_are_refused_by_name(split):
    adam = type("Adam", (), {"__module__": "keras.src.optimizers.adam"})
    stopping = type("EarlyStopping", (), {"__module__": "keras.src.callbacks.early_stopping"})
    model = model_of("MatrixFactorization", split)
    with pytest.raises(TypeError, match="Adam is an object of Keras 3.*tf.keras.optimizers.Adam"):
        model.compile(optimizer=adam())
    model.compile("adam")
    with pytest.raises(TypeError, match="EarlyStopping is an object of Keras 3.*tf.keras.call"):
        model.fit(model.examples(split.train).batch(4), callbacks=[stopping()])
    mean = type("Mean", (), {"__module__": "keras.src.metrics.reduction_metrics"})
    with pytest.raises(TypeError, match="Mean is an object of Keras 3.*tf.keras.metrics.Mean"):
        tfrecs.tasks.Ranking(metrics=[mean()])
    error = type("MeanSquaredError", (), {"__module__": "keras.src.losses.losses"})
    with pytest.raises(TypeError, match="tf.keras.losses.MeanSquaredError"):
        tfrecs.tasks.Ranking(error())
