"""Every public model is stopped within an epoch, made anew and resumed: not a bit is different."""

import dataclasses
import signal
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import tfrecs
from tests.public_models import MODELS
from tests.training.resume_checks import history, signal_at, variables
from tfrecs._keras import keras
from tfrecs.data import Histories, TrainSet
from tfrecs.losses import BPR, BinaryCrossEntropy, BucketedSoftmax, SampledSoftmax
from tfrecs.models import (
    DeepCross,
    MatrixFactorization,
    SASRec,
    TwoTower,
)
from tfrecs.negatives import CrossBatch, HardNegativeMining, Mined, StreamingFrequency
from tfrecs.optimizers import Adam, LazyAdam
from tfrecs.training import Checkpoints, Interrupted

EPOCHS = 2


@dataclasses.dataclass(frozen=True)
class Case:
    """A model as `tfrecs.train` takes it.

    Args:
        model: Its class.
        arguments: Its arguments.
        settings: Further settings of the run.
    """

    model: type
    arguments: Mapping[str, Any]
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def _clicks(**metrics):
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    return tfrecs.tasks.Ranking(loss, **metrics)


# By the name of the model; what comes after a comma tells several apart.
CASES = {
    name: Case(entry.model, entry.resumed(), entry.settings)
    for name, entry in MODELS.items()
    if entry.resumed is not None
} | {
    "SASRec, LazyAdam": Case(
        SASRec,
        {"num_blocks": 1, "max_length": 6, "loss": BinaryCrossEntropy(2)},
        {"optimizer": LazyAdam, "batch_size": 6},
    ),
    "SASRec, cross-batch negatives": Case(
        SASRec,
        {
            "num_blocks": 1,
            "max_length": 6,
            "loss": SampledSoftmax(
                negatives=CrossBatch(50, StreamingFrequency(20)), logq="corrected"
            ),
        },
        {"batch_size": 6},
    ),
    "SASRec, buckets": Case(
        SASRec,
        {"num_blocks": 1, "max_length": 6, "loss": BucketedSoftmax(3, 5, 4)},
        {"batch_size": 6},
    ),
    "SASRec, events": Case(
        SASRec,
        {
            "num_blocks": 1,
            "max_length": 6,
            "event_features": ["rating", "timestamp"],
            "time_intervals": True,
            "request_time": True,
        },
        {"batch_size": 6},
    ),
    "SASRec, quantised": Case(
        SASRec,
        {"num_blocks": 1, "max_length": 6, "code_length": 4, "num_centroids": 5},
        {"batch_size": 6},
    ),
    "TwoTower, attention": Case(
        TwoTower,
        {"hidden_units": [8], "max_length": 5, "pooling": "attention", "cross_layers": 1},
        {"schedule": "linear", "optimizer": LazyAdam},
    ),
    "DeepCross, metrics of the epoch": Case(
        DeepCross,
        {
            "dim": 4,
            "cross_layers": 1,
            "deep_units": [8],
            "task": _clicks(metrics=[keras.metrics.AUC(name="auc", from_logits=True)]),
        },
    ),
}


@pytest.fixture(scope="module")
def ratings(tmp_path_factory):
    """24 users who walk around a ring of 12 items, and like one in two."""
    rng = np.random.default_rng(0)
    lines = ["user_id,item_id,timestamp,rating"]
    for user in range(24):
        start, length = rng.integers(0, 12), rng.integers(5, 10)
        lines += [
            f"{user},{100 + (start + t) % 12},{t},{5 if (start + user) % 2 else 1}"
            for t in range(length)
        ]
    path = tmp_path_factory.mktemp("data") / "ratings.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_resumed_within_an_epoch(name, ratings, tmp_path, monkeypatch, quiet):
    case = CASES[name]

    def train(folder):
        return tfrecs.train(
            folder,
            ratings,
            case.model,
            model_args=dict(case.arguments),
            epochs=EPOCHS,
            seed=1,
            console=quiet,
            **{"batch_size": 24, "learning_rate": 0.02, "patience": None, **case.settings},
        )

    whole = train(tmp_path / "whole")
    with monkeypatch.context() as patch:
        signal_at(patch, 2, 2, signal.SIGTERM)
        with pytest.raises(Interrupted, match="in epoch 2 of 2, after batch 2 of"):
            train(tmp_path / "run")
    run = train(tmp_path / "run")
    then, now = variables(whole, EPOCHS), variables(run, EPOCHS)
    assert any("optimizer/_iterations" in key for key in then)
    assert [key for key in then if now[key] != then[key]] == []
    assert now.keys() == then.keys()
    assert history(run) == history(whole)
    assert run.metrics["test"] == whole.metrics["test"]


class Stop(keras.callbacks.Callback):
    """Saves after a batch of the last epoch and ends the training, as a signal does."""

    def __init__(self, checkpoints):
        super().__init__()
        self.checkpoints = checkpoints

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.now, batch) == (2, 1):
            self.checkpoints.save(2, self.model.epoch_state(), batch=2)
            raise KeyboardInterrupt


@pytest.mark.slow
def test_mined_negatives_are_those_of_the_beginning_of_the_epoch(tmp_path):
    rng = np.random.default_rng(0)
    rows = [rng.permutation(12)[:6] + 1 for _ in range(20)]
    train = TrainSet(Histories.from_lists(rows), np.arange(1, 21), num_items=12)

    def made():
        negatives = Mined(3, 20, 12, num_mined=4, seed=1)
        model = MatrixFactorization(12, 20, dim=8, loss=BPR(negatives=negatives), seed=1)
        model.compile(Adam(0.05))
        return model, HardNegativeMining(negatives, train)

    def fit(model, callbacks, first=(0, 0)):
        batches = train.pairs().batch(32, seed=1, first_epoch=first[0], first_batch=first[1])
        return model.fit(
            batches, epochs=4, initial_epoch=first[0], callbacks=callbacks, verbose=0
        ).history["loss"]

    def state(model):
        return [x.numpy().tobytes() for x in [*model.weights, *model.optimizer.variables]]

    whole, mining = made()
    losses = fit(whole, [mining])
    model, mining = made()
    with pytest.raises(KeyboardInterrupt):
        fit(model, [mining, Stop(Checkpoints(tmp_path, model))])

    model, mining = made()
    position, sums = Checkpoints(tmp_path, model).restore_latest()
    model.resume_epoch(sums)
    assert fit(model, [mining], position) == losses[2:]
    assert state(model) == state(whole)


def test_what_is_not_trained_says_so():
    with pytest.raises(TypeError, match="RetrieveThenRank does not train"):
        tfrecs.models.RetrieveThenRank.compute_loss(None, {})
