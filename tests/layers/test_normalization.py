"""unit_vectors against TensorFlow's own normalisation."""

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.layers import unit_vectors


@pytest.mark.parametrize("scale", [1.0, 1e-9, 0.0])
def test_value_and_gradient(scale):
    x = tf.random.stateless_normal([3, 4, 5], [1, 2]) * scale
    weights = tf.random.stateless_normal([3, 4, 5], [3, 4])
    results = []
    for function in (unit_vectors, lambda x: tf.nn.l2_normalize(x, axis=-1)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
            loss = tf.reduce_sum(y * weights)
        results.append([y, tape.gradient(loss, x)])
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)
