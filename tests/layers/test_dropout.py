"""Dropout: rate, scale, and masks that a checkpoint restores."""

import numpy as np
import pytest

from tfrecs._keras import keras, tf
from tfrecs.layers import Dropout, StepCounter


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_rate_and_scale(rate):
    layer = Dropout(rate, seed=1)
    out = layer(tf.ones([1000, 101]), training=True).numpy()
    kept = out != 0
    assert np.mean(kept) == pytest.approx(1 - rate, abs=0.005)
    np.testing.assert_allclose(out[kept], 1 / (1 - rate), rtol=1e-3)
    # No pattern along rows or columns.
    assert np.ptp(kept.mean(0)) < 0.15
    assert abs(np.corrcoef(kept[:, 0], kept[:, 1])[0, 1]) < 0.1


def test_identity_out_of_training():
    x = tf.random.normal([3, 5])
    assert np.array_equal(Dropout(0.5)(x, training=False), x)
    assert np.array_equal(Dropout(0.5)(x), x)
    assert np.array_equal(Dropout(0.0)(x, training=True), x)


def test_masks_differ_between_calls_and_seeds():
    x = tf.ones([40])
    layer, other = Dropout(0.5, seed=1), Dropout(0.5, seed=2)
    first, second = layer(x, training=True), layer(x, training=True)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, other(x, training=True))
    assert np.array_equal(first, Dropout(0.5, seed=1)(x, training=True))


def test_a_checkpoint_restores_the_masks(tmp_path):
    x = tf.ones([40])
    layer = Dropout(0.5, seed=1)
    layer(x, training=True)
    path = tf.train.Checkpoint(layer=layer).save(str(tmp_path / "ckpt"))
    expected = layer(x, training=True)
    fresh = Dropout(0.5, seed=1)
    tf.train.Checkpoint(layer=fresh).restore(path).assert_consumed()
    assert np.array_equal(fresh(x, training=True), expected)


def test_drawn_seeds_follow_keras_seed():
    def mask():
        keras.utils.set_random_seed(5)
        return Dropout(0.5)(tf.ones([64]), training=True).numpy()

    assert np.array_equal(mask(), mask())


def test_replicas_drop_differently_but_count_together(two_devices):
    strategy = two_devices
    with strategy.scope():
        counter = StepCounter(seed=3)

    @tf.function
    def seeds(per_replica):
        return strategy.run(lambda: counter.next_seed(per_replica))

    shared = [x.numpy().tolist() for x in strategy.experimental_local_results(seeds(False))]
    assert shared == [[3, 0], [3, 0]]
    own = [x.numpy().tolist() for x in strategy.experimental_local_results(seeds(True))]
    assert own[0] != own[1]
    assert own[0][1] == own[1][1] == 1

    @tf.function(jit_compile=True)
    def draw(seed):
        return tf.random.stateless_uniform([8], seed)

    # XLA reads 32 bits of a seed alone.
    first, second = (draw(tf.constant(seed, tf.int64)).numpy() for seed in own)
    assert not (first == second).any()


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_wrong_rate(rate):
    with pytest.raises(ValueError, match="must be in"):
        Dropout(rate)
