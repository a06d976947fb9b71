"""Averages of the weights: validation, checkpoints and the trained model have them."""

import numpy as np
import pytest

import tfrecs
from tfrecs._keras import keras
from tfrecs.data import Interactions, leave_last_out

MOMENTUM = 0.9


class Watch(keras.callbacks.Callback):
    """Keeps the weights after each step, and what later callbacks see at the end of an epoch."""

    def __init__(self):
        super().__init__()
        self.steps, self.epochs, self.logs = [], [], []

    def weights(self):
        return [w.numpy() for w in self.model.trainable_variables]

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(self.weights())

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(self.weights())
        self.logs.append(dict(logs))


@pytest.fixture
def split():
    rng = np.random.default_rng(0)
    rows = [(u, int(i)) for u in range(12) for i in rng.permutation(9)[:6] + 1]
    users, items = zip(*rows, strict=True)
    return leave_last_out(Interactions({"user_id": users, "item_id": items}))


def fitted(split, optimizer, epochs=3, model=None, watch=None):
    if model is None:
        model = tfrecs.models.SASRec(split.items, dim=8, max_length=4, dropout=0.0, seed=1)
        model.compile(optimizer)
    watch = watch or Watch()
    batches = model.examples(split.train).batch(4)
    model.fit(
        batches, epochs=epochs, validation_data=split.validation, callbacks=[watch], verbose=0
    )
    return model, watch


def averages(start, steps):
    """The exponential moving averages after each step, by their definition."""
    found, now = [], start
    for weights in steps:
        now = [MOMENTUM * a + (1 - MOMENTUM) * w for a, w in zip(now, weights, strict=True)]
        found.append(now)
    return found


def assert_equal(first, second, **tolerance):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, **(tolerance or {"rtol": 1e-4, "atol": 1e-6}))


OPTIMIZERS = [
    lambda **given: tfrecs.optimizers.Adam(0.01, **given),
    lambda **given: keras.optimizers.SGD(0.1, **given),
]


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_epochs_end_with_the_averages_and_training_goes_on_without(split, make):
    start = [
        w.numpy()
        for w in tfrecs.models.SASRec(
            split.items, dim=8, max_length=4, dropout=0.0, seed=1
        ).trainable_variables
    ]
    plain, plainly = fitted(split, make())
    model, watch = fitted(split, make(use_ema=True, ema_momentum=MOMENTUM))
    # The same steps as without averages.
    assert len(watch.steps) == len(plainly.steps) > 6
    for mine, theirs in zip(watch.steps, plainly.steps, strict=True):
        assert_equal(mine, theirs)
    expected = averages(start, watch.steps)
    steps = len(watch.steps) // 3
    for epoch in range(3):
        assert_equal(watch.epochs[epoch], expected[(epoch + 1) * steps - 1])
    assert_equal([w.numpy() for w in model.trainable_variables], expected[-1])
    assert np.abs(model.embedding.table - plain.embedding.table).max() > 1e-3
    # Validation saw them.
    now = tfrecs.evaluation.Evaluator(split.validation, (10,)).metrics(model)
    assert watch.logs[-1]["val_NDCG@10"] == pytest.approx(now["NDCG@10"])


def test_a_further_fit_goes_on(split):
    make = OPTIMIZERS[0]
    once, _ = fitted(split, make(use_ema=True, ema_momentum=MOMENTUM), epochs=4)
    twice, _ = fitted(split, make(use_ema=True, ema_momentum=MOMENTUM), epochs=2)
    batches = twice.examples(split.train).batch(4, first_epoch=2)
    twice.fit(batches, epochs=4, initial_epoch=2, verbose=0)
    assert_equal(*([w.numpy() for w in m.trainable_variables] for m in (once, twice)))
    assert twice.optimizer.use_ema
