"""An epoch that is resumed: its steps, their numbers, its mean loss and its warnings."""

import json

import numpy as np
import pytest

from tfrecs._keras import keras, tf
from tfrecs.data import Rows
from tfrecs.models import Model

SIZE = 7


class Line(Model):
    """The loss of a row is weight * x; the weight stays where it is."""

    def __init__(self):
        super().__init__(items=1)
        self.weight = self.add_weight(name="weight", shape=(), initializer="ones")
        self.auc = keras.metrics.AUC(name="auc", num_thresholds=5)

    def compute_loss(self, inputs, training=False):
        finite = tf.where(tf.math.is_finite(inputs["x"]), inputs["x"], 0.0)
        self.auc.update_state(finite % 2, tf.sigmoid(finite))
        return tf.reduce_mean(inputs["x"]) * self.weight


class Seen(keras.callbacks.Callback):
    """What callbacks are told; stops after a step by an exception, as a signal does."""

    def __init__(self, stop=None):
        super().__init__()
        self.stop, self.told, self.state = stop, [], None

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_begin(self, batch, logs=None):
        self.told.append((self.now, batch))

    def on_train_batch_end(self, batch, logs=None):
        if (self.now, batch) == self.stop:
            self.state = json.loads(json.dumps(self.model.epoch_state()))
            raise KeyboardInterrupt


def rows(values=None):
    return Rows({"x": np.arange(SIZE, dtype=np.float32) if values is None else values})


def model():
    line = Line()
    line.compile(keras.optimizers.SGD(0.0))
    return line


def fit(line, data, seen, first=(0, 0), epochs=3):
    batches = data.batch(1, seed=None, first_epoch=first[0], first_batch=first[1])
    return line.fit(
        batches, epochs=epochs, initial_epoch=first[0], callbacks=[seen], verbose=0
    ).history


@pytest.mark.slow
def test_a_resumed_epoch_has_the_remaining_steps_and_the_sums_of_all():
    whole, stopped, rest = Seen(), Seen(stop=(1, 3)), Seen()
    expected = fit(model(), rows(), whole)
    with pytest.raises(KeyboardInterrupt):
        fit(model(), rows(), stopped)
    assert stopped.state["metrics"][0] == [0 + 1 + 2 + 3, 4]  # the mean loss: sum and count
    again = model()
    again.resume_epoch(stopped.state)
    history = fit(again, rows(), rest, first=(1, 4))
    assert stopped.told + rest.told == whole.told
    assert rest.told[:4] == [(1, 4), (1, 5), (1, 6), (2, 0)]
    assert {name: values[1:] for name, values in expected.items()} == history
    assert history["loss"][0] == 3  # the mean of 0..6
    assert again.first_batch == 0


def test_without_the_sums_the_epoch_is_summed_up_from_there():
    assert fit(model(), rows(), Seen(), first=(0, 4), epochs=1)["loss"] == [5]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_steps_without_finite_gradients_are_counted_over_the_stop():
    bad = rows(np.array([np.nan, 1, np.inf, 1, np.nan, 1, 1], np.float32))
    stopped, first = Seen(stop=(1, 3)), model()
    with pytest.raises(KeyboardInterrupt):
        fit(first, bad, stopped)
    again = model()
    again.nonfinite_steps.assign(first.nonfinite_steps)  # as a checkpoint does
    again.resume_epoch(stopped.state)
    with pytest.warns(RuntimeWarning, match="3 of the 7 steps of epoch 2 had non-finite"):
        fit(again, bad, Seen(), first=(1, 4), epochs=2)
    assert int(again.nonfinite_steps) == 6


def test_an_epoch_of_nothing_else_is_an_error_over_a_stop_too():
    bad = rows(np.full(SIZE, np.nan, np.float32))
    stopped, first = Seen(stop=(0, 3)), model()
    with pytest.raises(KeyboardInterrupt):
        fit(first, bad, stopped)
    again = model()
    again.nonfinite_steps.assign(first.nonfinite_steps)
    again.resume_epoch(stopped.state)
    with pytest.raises(FloatingPointError, match="7 of the 7 steps of epoch 1"):
        fit(again, bad, Seen(), first=(0, 4))
