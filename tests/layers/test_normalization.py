"""unit_vectors against TensorFlow's own normalisation, LayerNormalization against Keras's."""

import numpy as np
import pytest

from tfrecs._keras import keras, tf
from tfrecs.layers import LayerNormalization, unit_vectors


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


@pytest.mark.parametrize("shape", [(6, 5), (3, 2, 5)])
@pytest.mark.parametrize("epsilon", [1e-8, 0.1])
def test_layer_normalization_is_kerass(shape, epsilon):
    x = tf.random.stateless_normal(shape, [1, 2])
    upstream = tf.random.stateless_normal(shape, [3, 4])
    results = []
    for layer in (LayerNormalization(epsilon), keras.layers.LayerNormalization(epsilon=epsilon)):
        layer.build(x.shape)
        layer.gamma.assign([0.5, -1.0, 2.0, 0.1, 1.0])
        layer.beta.assign([0.0, 1.0, 2.0, 3.0, 4.0])
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            loss = tf.reduce_sum(y * upstream)
        results.append([y, *tape.gradient(loss, [x, layer.gamma, layer.beta])])
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
