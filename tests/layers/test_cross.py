"""Cross layers against TFRS's, the paper's formulas in numpy, and each other."""

import numpy as np
import pytest

from tfrecs._keras import keras, tf, tfrs
from tfrecs.layers import Cross, CrossMixture, CrossNetwork

RNG = np.random.default_rng(0)
X0 = RNG.normal(size=(6, 5)).astype(np.float32)
X = RNG.normal(size=(6, 5)).astype(np.float32)


def randomise(layer):
    rng = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))


@pytest.mark.parametrize("projection_dim", [None, 2])
@pytest.mark.parametrize("diag_scale", [0.0, 0.5])
@pytest.mark.parametrize("preactivation", [None, "tanh"])
@pytest.mark.parametrize("use_bias", [True, False])
def test_equal_weights_equal_tfrss(projection_dim, diag_scale, preactivation, use_bias):
    arguments = {
        "projection_dim": projection_dim,
        "diag_scale": diag_scale,
        "preactivation": preactivation,
        "use_bias": use_bias,
    }
    ours, theirs = Cross(**arguments), tfrs.layers.dcn.Cross(**arguments)
    ours(X0, X), theirs(X0, X)
    randomise(theirs)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(X0, X), theirs(X0, X), atol=1e-6)
    np.testing.assert_allclose(ours(X0), theirs(X0), atol=1e-6)


def test_hand_computed():
    # TFRS's own expectations: full, and low-rank with a diagonal.
    x0, x = tf.constant([[0.1, 0.2, 0.3]]), tf.constant([[0.4, 0.5, 0.6]])
    layer = Cross(kernel_initializer="ones")
    np.testing.assert_allclose(layer(x0, x), [[0.55, 0.8, 1.05]], atol=1e-6)
    layer = Cross(1, diag_scale=1.0, kernel_initializer="ones")
    np.testing.assert_allclose(layer(x0, x), [[0.59, 0.9, 1.23]], atol=1e-6)


@pytest.mark.parametrize("make", [Cross, lambda: Cross(2), lambda: CrossMixture(3, 2)])
def test_any_rank(make):
    layer = make()
    x = RNG.normal(size=(2, 3, 4, 5)).astype(np.float32)
    out = layer(x)
    randomise(layer)
    flat = layer(x.reshape(-1, 5))
    out = layer(x)
    assert out.shape == x.shape
    np.testing.assert_allclose(np.reshape(out, (-1, 5)), flat, atol=1e-5)


def test_values_of_a_deep_stack_stay_in_scale():
    x = np.random.default_rng(2).normal(size=(64, 1024)).astype(np.float32)
    deviation = float(tf.math.reduce_std(CrossNetwork(3, seed=1)(x)))
    assert deviation < 4  # TFRS's own initializer gives 5.1


@pytest.mark.parametrize("projection_dim", [None, 2])
def test_products_in_float16_under_mixed_precision(projection_dim):
    layer = Cross(projection_dim, dtype="mixed_float16")

    @tf.function
    def call(x):
        return layer(x)

    x = tf.constant(X0)
    assert layer(x).dtype == tf.float16
    operations = call.get_concrete_function(x).graph.get_operations()
    products = [op for op in operations if op.type == "MatMul"]
    assert len(products) == (1 if projection_dim is None else 2)
    assert all(op.outputs[0].dtype == tf.float16 for op in products)


@pytest.mark.parametrize("gate", ["softmax", "sigmoid"])
def test_mixture_is_equations_3_and_4(gate):
    layer = CrossMixture(3, 2, gate=gate)
    layer(X0, X)
    randomise(layer)
    down, inner, up, gates, bias = (
        np.asarray(w) for w in (layer._down, layer._inner, layer._up, layer._gates, layer._bias)
    )
    logits = X @ gates
    g = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    if gate == "sigmoid":
        g = 1 / (1 + np.exp(-logits))
    expected = X.copy()
    for i in range(3):
        expert = np.tanh(np.tanh(X @ down[i]) @ inner[i]) @ up[i] + bias
        expected += g[:, i : i + 1] * X0 * expert
    np.testing.assert_allclose(layer(X0, X), expected, atol=1e-5)


def test_one_linear_expert_is_the_low_rank_cross():
    cross, mixture = Cross(2), CrossMixture(1, 2, activation=None)
    cross(X0, X), mixture(X0, X)
    randomise(cross)
    down, up, bias = cross.get_weights()
    mixture._down.assign(down[None])
    mixture._inner.assign(np.eye(2)[None])
    mixture._up.assign(up[None])
    mixture._bias.assign(bias)
    np.testing.assert_allclose(mixture(X0, X), cross(X0, X), atol=1e-6)


def test_experts_start_apart_and_in_scale():
    layer = CrossMixture(4, 8, kernel_initializer=keras.initializers.GlorotUniform(seed=3))
    layer(tf.ones([1, 64]))
    down = layer._down.numpy()
    assert np.abs(down[0] - down[1]).max() > 0.01
    limit = np.sqrt(6 / (64 + 8))  # of one expert, not of the stack
    assert 0.95 * limit < np.abs(down).max() <= limit


def test_network_threads_x0_through_its_layers():
    network = CrossNetwork(2)
    network(X0)
    randomise(network)
    first, second = network.crosses
    np.testing.assert_allclose(network(X0), second(X0, first(X0, X0)), atol=1e-5)


@pytest.mark.parametrize("structure", ["parallel", "stacked"])
def test_the_deep_part(structure):
    network = CrossNetwork(2, deep_units=[7, 3], structure=structure)
    out = network(X0)
    randomise(network)
    out = network(X0)
    crossed = network.crosses[1](X0, network.crosses[0](X0, X0))
    deep = crossed if structure == "stacked" else X0
    for layer in network.deep[::2]:
        deep = layer(deep)
    expected = deep if structure == "stacked" else np.concatenate([crossed, deep], axis=1)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cross(0), "projection_dim"),
        (lambda: Cross(diag_scale=-1.0), "diag_scale"),
        (lambda: Cross()(X0, X[:, :4]), "same last dimension"),
        (lambda: CrossMixture(0), "num_experts"),
        (lambda: CrossMixture(gate="hard"), "softmax or sigmoid"),
        (lambda: CrossNetwork(0), "num_layers"),
        (lambda: CrossNetwork(structure="beside"), "parallel or stacked"),
        (lambda: CrossNetwork(num_experts=2), "projection_dim"),
    ],
)
def test_errors_name_the_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()
