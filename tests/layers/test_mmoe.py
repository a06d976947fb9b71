"""The multi-gate mixture of experts against the paper's formula in numpy."""

import numpy as np
import pytest

from tfrecs._keras import keras, tf
from tfrecs.layers import MMoE

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 5)).astype(np.float32)


def randomise(layer):
    rng = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))


@pytest.mark.parametrize("units", [[4], [7, 4]])
def test_the_papers_equations(units):
    layer = MMoE(2, 3, units)
    layer(X)
    randomise(layer)
    weights = {v.name.split("/")[-1].split(":")[0]: v.numpy() for v in layer.weights}
    gates = weights["gates"].reshape(5, 2, 3)
    for task in range(2):
        logits = X @ gates[:, task]
        gate = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        want = 0.0
        for expert in range(3):
            hidden = X
            for index in range(len(units)):
                kernel, bias = weights[f"kernel_{index}"], weights[f"bias_{index}"]
                hidden = np.maximum(hidden @ kernel[expert] + bias[expert], 0)
            want = want + gate[:, [expert]] * hidden
        np.testing.assert_allclose(layer(X)[:, task], want, rtol=1e-4, atol=1e-5)


def test_one_expert_is_a_dense_layer():
    layer = MMoE(2, 1, [4], activation="tanh")
    dense = keras.layers.Dense(4, "tanh")
    layer(X), dense(X)
    layer._kernels[0].assign(dense.kernel[tf.newaxis])
    for task in range(2):
        np.testing.assert_allclose(layer(X)[:, task], dense(X), atol=1e-6)


def test_any_rank():
    layer = MMoE(2, 3, [4])
    x = RNG.normal(size=(2, 3, 5)).astype(np.float32)
    out = layer(x)
    assert out.shape == (2, 3, 2, 4)
    np.testing.assert_allclose(tf.reshape(out, [6, 2, 4]), layer(x.reshape(-1, 5)), atol=1e-5)


def test_static_shape_with_an_unknown_batch():
    layer = MMoE(2, 3, [4])
    assert layer(keras.Input([5])).shape.as_list() == [None, 2, 4]


def test_experts_start_apart_and_in_scale():
    layer = MMoE(1, 4, [8], kernel_initializer=keras.initializers.GlorotUniform(seed=3))
    layer(tf.ones([1, 64]))
    kernel = layer._kernels[0].numpy()
    assert np.abs(kernel[0] - kernel[1]).max() > 0.01
    limit = np.sqrt(6 / (64 + 8))  # of one expert, not of the stack
    assert 0.95 * limit < np.abs(kernel).max() <= limit


def test_tasks_can_use_different_experts():
    """Two tasks of opposite answers, on two linear experts: each gate finds its own."""
    keras.utils.set_random_seed(0)
    layer = MMoE(2, 2, [1], activation=None)
    x = np.concatenate([RNG.normal(size=(256, 1)), np.ones((256, 1))], 1).astype(np.float32)
    y = tf.constant(np.stack([x[:, :1], -x[:, :1]], axis=1))
    optimizer = keras.optimizers.Adam(0.05)
    layer(x)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(layer(x) - y))
        gradients = tape.gradient(loss, layer.trainable_variables)
        optimizer.apply_gradients(zip(gradients, layer.trainable_variables, strict=True))
        return loss

    for _ in range(300):
        loss = step()
    assert float(loss) < 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0,), "num_tasks"), ((1, 0), "num_experts"), ((1, 1, []), "expert_units")],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        MMoE(*arguments)
