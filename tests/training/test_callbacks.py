import numpy as np
import pytest

from tfrecs._keras import keras, tf
from tfrecs.training import BestWeights


class Script(keras.callbacks.Callback):
    """Sets the model's one weight to the epoch's number and the metric to the next given value."""

    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_end(self, epoch, logs=None):
        self.model.set_weights([np.full([1, 1], epoch + 1.0)])
        logs["val_NDCG@10"] = self.values[epoch]


@pytest.fixture(scope="module")
def model():
    layer = keras.layers.Dense(1, use_bias=False, input_shape=(1,))
    model = keras.Sequential([layer])
    model.compile("sgd", "mse")
    return model


def fit(model, values, best, **options):
    x = tf.zeros([1, 1])
    history = model.fit(
        x, x, epochs=len(values), callbacks=[Script(values), best], verbose=0, **options
    )
    return len(history.epoch) + options.get("initial_epoch", 0)


def weight(model):
    return float(model.get_weights()[0][0, 0])


def test_best_weights_come_back_when_patience_runs_out(model):
    best = BestWeights(patience=2)
    epochs = fit(model, [0.1, 0.3, 0.2, 0.3, 0.9], best)
    # An equal value is no better one: epochs 3 and 4 use the patience up.
    assert epochs == 4
    assert (best.best, best.best_epoch, best.wait, best.stopped) == (0.3, 2, 2, True)
    assert weight(model) == 2


def test_best_weights_come_back_when_the_epochs_run_out(model):
    best = BestWeights(patience=None)
    assert fit(model, [0.1, 0.4, 0.2, 0.3], best) == 4
    assert not best.stopped
    assert weight(model) == 2


def test_the_least_value_is_best_in_mode_min(model):
    best = BestWeights(mode="min", patience=None)
    fit(model, [0.4, 0.1, 0.2], best)
    assert (best.best, best.best_epoch, weight(model)) == (0.1, 2, 2)


def test_nan_is_never_best(model):
    best = BestWeights(patience=None)
    fit(model, [float("nan"), 0.2, float("nan")], best)
    assert (best.best, best.best_epoch, weight(model)) == (0.2, 2, 2)


def test_a_second_fit_begins_anew_and_a_resumed_one_goes_on(model):
    best = BestWeights(patience=None)
    fit(model, [0.1, 0.5], best)
    state, weights = best.get_state(), model.get_weights()

    fit(model, [0.2, 0.1], best)
    assert (best.best, best.best_epoch, weight(model)) == (0.2, 1, 1)

    resumed = BestWeights(patience=2)
    resumed.set_state(state, weights)
    # Epochs 3 and 4 of the same training: neither beats epoch 2.
    assert fit(model, [0, 0, 0.3, 0.4, 0.9], resumed, initial_epoch=2) == 4
    assert (resumed.best, resumed.best_epoch) == (0.5, 2)
    assert weight(model) == 2


def test_restore_after_ctrl_c(model):
    class CtrlC(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    best = BestWeights(patience=None)
    x = tf.zeros([1, 1])
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, x, epochs=9, callbacks=[Script([0.3, 0.1, 0]), best, CtrlC()], verbose=0)
    assert weight(model) == 2
    best.restore()
    assert weight(model) == 1


def test_a_metric_that_is_not_reported_is_named(model):
    x = tf.zeros([1, 1])
    with pytest.raises(ValueError, match=r"'val_HR@5'.*It reports: loss\."):
        model.fit(x, x, callbacks=[BestWeights("val_HR@5")], verbose=0)


@pytest.mark.parametrize("options", [{"patience": 0}, {"mode": "highest"}])
def test_arguments_are_checked(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        BestWeights(**options)
