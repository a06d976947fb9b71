"""SGD against Keras's, on rows and on whole weights."""

import numpy as np
import pytest

from tfrecs._keras import keras, tf
from tfrecs.optimizers import SGD

RATE = keras.optimizers.schedules.PolynomialDecay(0.1, 4, 0.05)


@pytest.mark.parametrize("compiled", ["eager", "graph", "xla"])
def test_repeated_rows_by_hand(compiled):
    rng = np.random.default_rng(0)
    start = rng.normal(size=(6, 3)).astype(np.float32)
    table, want = tf.Variable(start), start.copy()
    optimizer = SGD(0.1)
    optimizer.build([table])

    def apply(values, rows):
        optimizer.apply_gradients([(tf.IndexedSlices(values, rows, tf.constant([6, 3])), table)])

    if compiled != "eager":
        apply = tf.function(apply, jit_compile=compiled == "xla")
    for _ in range(5):
        rows = rng.integers(0, 6, 4)
        values = rng.normal(size=(4, 3)).astype(np.float32)
        apply(tf.constant(values), tf.constant(rows))
        np.subtract.at(want, rows, 0.1 * values)
    np.testing.assert_allclose(table, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("momentum", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
@pytest.mark.parametrize("more", [{}, {"weight_decay": 0.01}, {"clipnorm": 0.3}])
def test_every_argument_means_what_it_means_in_keras(momentum, more):
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(4, 3, 2)).astype(np.float32)
    sparse = rng.normal(size=(4, 4, 2)).astype(np.float32)
    rows = rng.integers(0, 3, size=(4, 4))
    results = []
    for cls in (SGD, keras.optimizers.SGD):
        optimizer = cls(RATE, **momentum, **more)
        weights = [tf.Variable(tf.ones([3, 2])) for _ in range(2)]
        for step in range(4):
            slices = tf.IndexedSlices(sparse[step], rows[step], tf.constant([3, 2]))
            optimizer.apply_gradients(zip([tf.constant(dense[step]), slices], weights, strict=True))
        results.append([weight.numpy() for weight in weights])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_no_momentum_takes_no_memory():
    table = tf.Variable(tf.ones([3, 2]))
    for optimizer, shapes in ((SGD(0.1), []), (SGD(0.1, momentum=0.5), [(3, 2)])):
        optimizer.build([table])
        assert [tuple(v.shape) for v in optimizer.variables if v.shape.rank] == shapes


def test_config_round_trip_and_mixed_precision():
    optimizer = SGD(RATE, momentum=0.5, clipnorm=1.0)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is SGD
    assert again.get_config() == optimizer.get_config()
    scaled = keras.mixed_precision.LossScaleOptimizer(SGD(0.5), dynamic=False, initial_scale=2.0)
    weight = tf.Variable(tf.ones([3]))
    with tf.GradientTape() as tape:
        loss = scaled.get_scaled_loss(tf.reduce_sum(weight))
    gradients = scaled.get_unscaled_gradients(tape.gradient(loss, [weight]))
    scaled.apply_gradients(zip(gradients, [weight], strict=True))
    np.testing.assert_allclose(weight, [0.5] * 3)
