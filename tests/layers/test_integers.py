"""Whole numbers among a layer's weights: packed two by two, and read as they were given."""

import numpy as np
import pytest

from tfrecs._keras import keras, tf
from tfrecs.layers.integers import Integers

LARGEST = 2**31 - 1


@pytest.mark.parametrize("shape", [(), (4,), (5,), (0,), (3, 3), (2, 3), (3, 1), (1, 1)])
@pytest.mark.parametrize("jit", [False, True])
def test_every_shape(shape, jit):
    rng = np.random.default_rng(0)
    values = rng.integers(-LARGEST - 1, LARGEST, shape, np.int32, endpoint=True)
    layer = keras.layers.Layer()
    numbers = Integers(layer, "numbers", values)
    again = keras.layers.Layer()
    other = Integers(again, "numbers", np.zeros(shape))
    assert not other.numpy().any()
    other.assign(values.astype(np.int64))
    for each in (numbers, other):
        np.testing.assert_array_equal(each.numpy(), values)
        found = tf.function(each.tensor, jit_compile=jit)()
        assert found.dtype == tf.int32
        found = found.numpy()[: shape[0]] if shape else found.numpy()
        np.testing.assert_array_equal(found, values)
    (weight,) = layer.weights
    assert weight.dtype == tf.int64
    assert 4 * weight.shape.num_elements() * 2 <= values.nbytes + 4 * max(1, *shape[1:], 1)


@pytest.mark.parametrize("wrong", [[7], [1, 2, 3, 4], [[1], [2], [3]], [2**31, 0, 0], [0.5, 0, 0]])
def test_others_are_refused(wrong):
    numbers = Integers(keras.layers.Layer(), "numbers", np.zeros(3))
    with pytest.raises(ValueError, match="are no int32 of shape"):
        numbers.assign(wrong)


def test_they_are_in_checkpoints_and_weights(tmp_path):
    first, second, third = (keras.layers.Layer() for _ in range(3))
    first.numbers = Integers(first, "numbers", [7, -8, 9])
    for other in (second, third):
        other.numbers = Integers(other, "numbers", np.zeros(3))
    second.set_weights(first.get_weights())
    path = tf.train.Checkpoint(layer=first).save(str(tmp_path / "saved"))
    tf.train.Checkpoint(layer=third).restore(path).assert_consumed()
    for other in (second, third):
        assert other.numbers.numpy().tolist() == [7, -8, 9]
