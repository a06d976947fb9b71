"""What the base model adds to TFRS: the epoch's mean loss, guards, precision, validation."""

import numpy as np
import pytest

from tfrecs._keras import keras, tf
from tfrecs.data import Interactions, leave_last_out
from tfrecs.models import Model, SASRec

# Where Keras looks for GPUs.
GPUS = "tensorflow.compat.v2.config.list_physical_devices"


class Line(Model):
    """Loss is the mean over the batch of weight * x, whose gradient everyone can compute."""

    def __init__(self):
        super().__init__(items=1)
        self.weight = self.add_weight(name="weight", shape=(), initializer="ones")
        self.table = self.add_weight(name="table", shape=(3, 2), initializer="ones")

    def compute_loss(self, inputs, training=False):
        row = tf.reduce_mean(tf.gather(self.table, [1]))
        return tf.reduce_mean(inputs["x"]) * self.weight + 0 * row


def batches(*rows):
    return tf.data.Dataset.from_tensor_slices({"x": np.array(rows, np.float32)})


def test_epoch_loss_is_the_mean_over_rows_not_batches():
    model = Line()
    model.compile(keras.optimizers.SGD(0.0))
    history = model.fit(batches(1, 2, 3, 4, 10).batch(4), verbose=0).history
    assert history["loss"] == [pytest.approx(4.0)]
    assert model.evaluate(batches(1, 2, 3, 4, 10).batch(4), verbose=0) == pytest.approx(4.0)


class LazyLine(Line):
    """A user's model with a layer that makes its weights when it is first called."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def compute_loss(self, inputs, training=False):
        return super().compute_loss(inputs, training) + tf.reduce_mean(
            self.dense(inputs["x"][:, tf.newaxis])
        )


class AttentiveLine(Line):
    """Keras's attention makes its weights in `call`, and has no `build`."""

    def __init__(self):
        super().__init__()
        self.attention = keras.layers.MultiHeadAttention(1, 2)

    def compute_loss(self, inputs, training=False):
        x = inputs["x"][:, tf.newaxis, tf.newaxis]
        return super().compute_loss(inputs, training) + tf.reduce_mean(self.attention(x, x))


@pytest.mark.parametrize(("model_class", "times"), [(Line, 1), (LazyLine, 2), (AttentiveLine, 2)])
@pytest.mark.parametrize("optimizer", [keras.optimizers.Adam, keras.optimizers.legacy.Adam])
def test_the_step_is_traced_once(model_class, times, optimizer):
    """Keras would make the optimizer's variables in the step, which is traced again then."""
    traced = []

    class Traced(model_class):
        def train_step(self, features):
            traced.append(features)
            return super().train_step(features)

    model = Traced()
    model.compile(optimizer(0.1))
    model.fit(batches(1, 2, 3, 4).batch(2), epochs=2, verbose=0)
    assert len(traced) == (times if optimizer is keras.optimizers.Adam else 2)
    # Every weight is trained.
    assert len(model.optimizer.variables()) >= 2 * len(model.trainable_variables) + 1
    trained = [w for w in model.trainable_weights if "bias" in w.name or w is model.weight]
    before = [weight.numpy() for weight in trained]
    model.fit(batches(1, 2, 3, 4).batch(2), verbose=0)
    assert len(trained) == {Line: 1, LazyLine: 2, AttentiveLine: 5}[model_class]
    moved = [(x != weight.numpy()).all() for x, weight in zip(before, trained, strict=True)]
    # Attention to one position ignores the biases of queries and keys.
    assert sum(moved) == len(trained) - 2 * (model_class is AttentiveLine)


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_keras_compiles_no_update_by_itself(policy, monkeypatch):
    """On a GPU it would be a program for each number of rows that a batch touches."""
    keras.mixed_precision.set_global_policy(policy)
    try:
        model = Line()
        with monkeypatch.context() as patch:
            patch.setattr(GPUS, lambda kind: ["/gpu:0"])
            optimizer = keras.optimizers.Adam()
        assert optimizer.jit_compile
        model.compile(optimizer)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert not optimizer.jit_compile


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nonfinite_gradients_never_reach_the_weights(bad):
    model = Line()
    model.compile(keras.optimizers.SGD(0.1))
    with pytest.warns(RuntimeWarning, match="1 of the 3 steps of epoch 1 had non-finite"):
        model.fit(batches(1, bad, 1).batch(1), verbose=0)
    assert float(model.weight) == pytest.approx(1 - 2 * 0.1)
    assert int(model.nonfinite_steps) == 1


def test_an_epoch_of_nonfinite_gradients_ends_the_training():
    model = Line()
    model.compile(keras.optimizers.SGD(0.1))
    with pytest.raises(FloatingPointError, match="2 of the 2 steps of epoch 1"):
        model.fit(batches(np.nan, np.nan).batch(1), epochs=3, verbose=0)
    assert float(model.weight) == 1


def test_finding_the_scale_of_mixed_float16_is_no_fault():
    """These scaled gradients overflow until the scale is lower."""
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = Line()
        model.compile(keras.optimizers.SGD(1e-35))
        model.fit(batches(*[3e35] * 4).batch(1), epochs=4, verbose=0)
        assert np.isfinite(model.weight.numpy())
        assert int(model.nonfinite_steps.numpy()) == 0
    finally:
        keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_an_epoch_of_nonfinite_losses_ends_the_training_in_any_precision(precision):
    """The optimizer of mixed_float16 skips such steps by itself, and said nothing."""
    keras.mixed_precision.set_global_policy(precision)
    try:
        model = Line()
        model.compile(keras.optimizers.SGD(0.1))
        with pytest.raises(FloatingPointError, match="2 of the 2 steps of epoch 1"):
            model.fit(batches(np.nan, np.nan).batch(1), epochs=3, verbose=0)
        assert model.weight.numpy() == 1
    finally:
        keras.mixed_precision.set_global_policy("float32")


@pytest.mark.slow
def test_mixed_float16_scales_the_loss():
    """A gradient of 1e-9 is 0 in float16: only a scaled loss can move the weight."""
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = SASRec(10, dim=8, num_blocks=1, max_length=5, seed=1, dropout=0.0)
        model.compile(keras.optimizers.Adam(1e-2))
        assert isinstance(model.optimizer, keras.mixed_precision.LossScaleOptimizer)
        batch = {
            "user_id": np.ones(4, np.int32),
            "history": np.tile([1, 2, 3], (4, 1)).astype(np.int32),
            "target": np.tile([2, 3, 4], (4, 1)).astype(np.int32),
        }
        data = tf.data.Dataset.from_tensors(batch).repeat(30)
        loss = model.fit(data, epochs=2, verbose=0).history["loss"]
        assert loss[1] < loss[0] < 3
        assert model.query_vectors(batch).dtype == tf.float32
    finally:
        keras.mixed_precision.set_global_policy("float32")


@pytest.mark.slow
def test_validation_is_in_the_logs_for_every_callback():
    rng = np.random.default_rng(0)
    rows = [(user, int(item)) for user in range(40) for item in rng.permutation(15)[:6]]
    users, items = zip(*rows, strict=True)
    split = leave_last_out(Interactions({"user_id": users, "item_id": items}))
    model = SASRec(split.items, dim=8, num_blocks=1, max_length=5, seed=1)
    model.compile("adam")
    stop = keras.callbacks.EarlyStopping("val_NDCG@10", mode="max", patience=1)
    history = model.fit(
        split.train.sequences(5).batch(16),
        epochs=2,
        validation_data=split.validation,
        callbacks=[stop],
        verbose=0,
    ).history
    assert len(history["val_NDCG@10"]) == len(history["val_HR@10"]) == 2
    assert stop.best is not None
    assert 0 < stop.best < 1


def test_validation_may_be_keras_own():
    model = Line()
    model.compile(keras.optimizers.SGD(0.0))
    data = batches(1, 2, 3).batch(2)
    assert model.fit(data, validation_data=data, verbose=0).history["val_loss"] == [2.0]


def test_the_contract_says_what_a_model_lacks():
    model = Line()
    assert not model.is_product
    assert model.max_history is None
    with pytest.raises(TypeError, match="has no query vectors"):
        model.score({})


def test_regularizers_count_once():
    model = Line()
    model.add_loss(lambda: 3.0 * model.weight)
    model.compile(keras.optimizers.SGD(0.1))
    model.fit(batches(0.0).batch(1), verbose=0)
    assert float(model.weight) == pytest.approx(1 - 0.3)


@pytest.mark.slow
def test_a_model_of_another_scope_is_refused(two_devices):
    data = batches(1, 2).batch(2)
    outside = Line()
    outside.compile(keras.optimizers.SGD(0.1))
    with two_devices.scope():
        inside = Line()
        for ask in (lambda: outside.compile("sgd"), lambda: outside.fit(data, verbose=0)):
            with pytest.raises(ValueError, match="outside of the scope of this MirroredStr"):
                ask()
    outside.fit(data, verbose=0)
    # A strategy is kept: where a model is compiled does not matter.
    inside.compile(keras.optimizers.SGD(0.1))
    inside.fit(data, verbose=0)
    assert float(outside.weight) == pytest.approx(1 - 0.1 * 1.5)
    # This loss is the mean of a replica's own rows, and gradients are added up.
    assert float(inside.weight.numpy()) == pytest.approx(1 - 0.1 * (1 + 2))
