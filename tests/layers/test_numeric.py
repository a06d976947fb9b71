"""Numeric encodings against rtdl_num_embeddings' numbers, numpy, and their stated rules."""

import json
from pathlib import Path

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.layers import (
    Discretization,
    PeriodicEncoding,
    PiecewiseLinearEmbedding,
    PiecewiseLinearEncoding,
    Squashing,
)

GOLDEN = json.loads((Path(__file__).parent / "rtdl_golden.json").read_text())
DATA = np.array(GOLDEN["data"], np.float32)
PROBES = np.array(GOLDEN["probes"], np.float32)
NAN, INF = np.nan, np.inf
EVERY = [
    lambda: PiecewiseLinearEncoding(3),
    lambda: PiecewiseLinearEmbedding(4, 3, seed=1),
    Squashing,
    lambda: Discretization(4, 3, seed=1),
    lambda: PeriodicEncoding(4, seed=1),
]


def adapted(layer, *data):
    layer.adapt(*data)
    return layer


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_bins_and_encodings_are_rtdls(case):
    target = GOLDEN["targets"].get(case["target"])
    if target is not None:
        pytest.importorskip("sklearn")
        target = np.array(target, np.float32 if case["target"] == "number" else np.int64)
    layer = PiecewiseLinearEncoding(
        case["num_bins"],
        bins="quantile" if target is None else "tree",
        tree_args=case["tree_args"],
    )
    layer.adapt(DATA, target)
    for edges, expected in zip(layer.edges.numpy(), case["bins"], strict=True):
        np.testing.assert_allclose(np.unique(edges), expected, rtol=1e-6, atol=1e-6)
    encoded = layer.encode(tf.constant(PROBES)).numpy()
    sizes = [len(edges) - 1 for edges in case["bins"]]
    kept = np.concatenate([encoded[:, j, :size] for j, size in enumerate(sizes)], axis=1)
    np.testing.assert_allclose(kept, case["encoded"], rtol=1e-5, atol=1e-6)
    for j, size in enumerate(sizes):
        assert not encoded[:, j, size:].any()


def test_embedding_is_a_linear_layer_a_feature():
    layer = adapted(PiecewiseLinearEmbedding(4, 3, activation=None), DATA)
    layer(PROBES)
    encoded = layer.encode(tf.constant(PROBES)).numpy()
    expected = np.stack(
        [
            encoded[:, j] @ layer.kernel.numpy()[j] + layer.bias.numpy()[j]
            for j in range(DATA.shape[1])
        ],
        axis=1,
    )
    np.testing.assert_allclose(layer(PROBES), expected, rtol=1e-4, atol=1e-4)
    relu = adapted(PiecewiseLinearEmbedding(4, 3), DATA)
    relu.set_weights(layer.get_weights())
    np.testing.assert_allclose(relu(PROBES), np.maximum(expected, 0), rtol=1e-4, atol=1e-4)


def test_periodic_is_the_formula():
    layer = adapted(PeriodicEncoding(3, sigma=0.5, seed=1), DATA)
    z = (PROBES - DATA.mean(0)) / DATA.std(0)
    angle = 2 * np.pi * layer.frequencies.numpy() * z[..., None]
    expected = np.concatenate([np.cos(angle), np.sin(angle)], axis=-1)
    np.testing.assert_allclose(layer(PROBES), expected, atol=2e-4)


def test_initial_frequencies_are_cut_at_3_sigma():
    layer = PeriodicEncoding(20_000, sigma=0.5, seed=1)
    layer.build([None, 1])
    frequencies = layer.frequencies.numpy()
    assert np.abs(frequencies).max() <= 1.5
    assert np.abs(frequencies).max() > 1.2
    assert abs(frequencies.std() - 0.5) < 0.02


def test_squashing_is_the_formula():
    layer = adapted(Squashing(), DATA)
    z = (PROBES - DATA.mean(0)) / DATA.std(0)
    np.testing.assert_allclose(layer(PROBES), 1 / (1 + np.exp(-z)), atol=1e-5)
    layer.scale.assign(layer.scale * 2)
    layer.shift.assign(layer.shift - 1)
    np.testing.assert_allclose(layer(PROBES), 1 / (1 + np.exp(1 - 2 * z)), atol=1e-5)


def test_discretization_is_searchsorted():
    layer = adapted(Discretization(4, 8), DATA)
    bins = layer.bins_of(tf.constant(DATA)).numpy()
    for column, found, edges in zip(DATA.T, bins.T, layer.edges.numpy(), strict=True):
        edges = edges[np.isfinite(edges)]
        np.testing.assert_array_equal(found, np.searchsorted(edges, column, side="right"))
        assert len(np.unique(found)) == len(edges) + 1  # No bin is empty.
    table = layer.table.numpy().reshape(DATA.shape[1], 9, 4)
    expected = np.stack([table[j][bins[:, j]] for j in range(DATA.shape[1])], axis=1)
    np.testing.assert_array_equal(layer(DATA), expected)


def test_missing_and_infinite_values_have_their_rules():
    data = [[0.0], [1.0], [3.0]]
    strange = tf.constant([[NAN], [INF], [-INF], [3.0], [0.0]])
    encoding = adapted(PiecewiseLinearEncoding(2, missing_indicator=True), data)
    assert encoding(strange).numpy().tolist() == [
        [0, 0, 1],
        [1, 1, 0],
        [0, 0, 0],
        [1, 1, 0],
        [0, 0, 0],
    ]
    embedding = adapted(PiecewiseLinearEmbedding(2, 2, activation=None), data)
    vectors = embedding(strange).numpy()
    np.testing.assert_array_equal(vectors[0], embedding.missing.numpy())
    np.testing.assert_allclose(vectors[1:3], vectors[3:], atol=1e-6)
    assert adapted(Squashing(), data)(strange).numpy()[:3, 0].tolist() == [0.5, 1, 0]
    assert adapted(Discretization(2, 2), data).bins_of(strange).numpy()[:, 0].tolist() == [
        2,
        1,
        0,
        1,
        0,
    ]
    periodic = adapted(PeriodicEncoding(2), data)(strange).numpy()
    assert not periodic[:3].any()
    assert periodic[3:].any(axis=(1, 2)).all()


@pytest.mark.parametrize("make", EVERY)
def test_gradients_are_finite_whatever_the_input(make):
    layer = adapted(make(), DATA)
    x = tf.constant([[NAN] * DATA.shape[1], [INF] * DATA.shape[1], [1e30] * DATA.shape[1]])
    with tf.GradientTape() as tape:
        out = layer(x)
        loss = tf.reduce_sum(out)
    assert np.isfinite(out[:2]).all()
    for gradient in tape.gradient(loss, layer.trainable_variables):
        assert np.isfinite(tf.convert_to_tensor(gradient)).all()


@pytest.mark.parametrize("make", EVERY)
def test_bad_rows_of_the_data_are_left_out(make):
    clean, dirty = adapted(make(), DATA), make()
    holes = np.full((len(DATA), DATA.shape[1]), NAN)
    holes[::2] = INF
    dirty.adapt(np.concatenate([DATA, holes]))
    for a, b in zip(clean.non_trainable_weights, dirty.non_trainable_weights, strict=True):
        if "adapted" not in a.name:
            np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("make", EVERY)
def test_not_adapted_is_an_error(make):
    with pytest.raises(tf.errors.InvalidArgumentError, match="call its adapt"):
        make()(tf.constant(PROBES))


@pytest.mark.parametrize("make", EVERY)
def test_a_constant_feature_is_no_trouble(make):
    layer = adapted(make(), [[1.0, 0.0], [1.0, 1.0]])
    assert np.isfinite(layer(tf.constant([[1.0, 0.5], [2.0, NAN]]))).all()


@pytest.mark.parametrize("make", EVERY)
def test_mixed_precision_computes_in_float32(make):
    layer = make()
    layer._set_dtype_policy("mixed_float16")
    years = np.arange(1_000_000.0, 1_000_100.0)[:, None]
    layer.adapt(years)
    plain = make()
    plain.adapt(years)
    layer(years), plain(years)
    plain.set_weights(layer.get_weights())
    out = layer(tf.constant(years, tf.float32))
    assert out.dtype == tf.float16
    np.testing.assert_allclose(
        tf.cast(out, tf.float32), plain(tf.constant(years, tf.float32)), atol=5e-3
    )


def test_wrong_data():
    with pytest.raises(ValueError, match="num_features"):
        Squashing().adapt([1.0, 2.0])
    with pytest.raises(ValueError, match=r"columns \[1\]"):
        Squashing().adapt([[1.0, NAN], [2.0, INF]])
    with pytest.raises(ValueError, match="has 1 features, the data 2"):
        adapted(Squashing(), [[1.0]]).adapt([[1.0, 2.0]])
    with pytest.raises(ValueError, match="needs the target"):
        PiecewiseLinearEncoding(bins="tree").adapt([[1.0]])
    with pytest.raises(ValueError, match="do not look at a target"):
        PiecewiseLinearEncoding().adapt([[1.0]], [1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PiecewiseLinearEncoding(0), "num_bins"),
        (lambda: PiecewiseLinearEncoding(bins="uniform"), "quantile or tree"),
        (lambda: PiecewiseLinearEmbedding(0), "dim"),
        (lambda: Discretization(4, 0), "num_bins"),
        (lambda: PeriodicEncoding(sigma=0.0), "sigma"),
    ],
)
def test_errors_name_the_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()
