"""Gated blocks, positions within attention and causal filters against numpy."""

import numpy as np
import pytest

from tests.layers.test_transformer import inputs, numpy_mask, numpy_norm, randomise
from tfrecs._keras import tf
from tfrecs.layers import (
    CausalFilter,
    HSTUBlock,
    LiGRBlock,
    RelativePositionBias,
    SASRecBlock,
    SelfAttention,
)
from tfrecs.layers.positions import rotated


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def turned(x):
    """Rotates as complex numbers, position by position."""
    half = x.shape[-1] // 2
    rates = 10_000.0 ** (-np.arange(half) / half)
    numbers = x[..., :half] + 1j * x[..., half:]
    numbers = numbers * np.exp(1j * np.arange(x.shape[-2])[:, np.newaxis] * rates)
    return np.concatenate([numbers.real, numbers.imag], axis=-1)


def bias_of(layer, length):
    """The bias of each head, query and key, by its definition."""
    table, most = layer.table.numpy(), layer.max_distance
    pairs = [
        [table[np.clip(i - j, -most, most) + most] for j in range(length)] for i in range(length)
    ]
    return np.transpose(pairs, [2, 0, 1])


def heads_of(x, num_heads):
    return np.stack(np.split(x, num_heads, axis=-1), axis=1)


def test_relative_position_bias():
    layer = RelativePositionBias(num_heads=2, max_distance=2)
    randomise(layer)
    np.testing.assert_allclose(layer(5, 5), bias_of(layer, 5), rtol=1e-6)
    np.testing.assert_allclose(layer(1, 5), bias_of(layer, 5)[:, -1:], rtol=1e-6)


def test_rotations_keep_lengths_and_products_of_equal_distances():
    x = np.random.default_rng(0).normal(size=(7, 6)).astype(np.float32)
    np.testing.assert_allclose(rotated(tf.constant(x), 7), turned(x), atol=1e-5)
    np.testing.assert_allclose(rotated(tf.constant(x[-2:]), 7), turned(x)[-2:], atol=1e-5)
    same = turned(np.repeat(x[:1], 7, axis=0))
    products = same @ same.T
    np.testing.assert_allclose(products[0, 2], products[3, 5])
    assert abs(products[0, 2] - products[0, 3]) > 0.01


@pytest.mark.parametrize("position", [None, "relative", "rotary"])
def test_attention_knows_positions(position):
    x, valid = inputs()
    mask = numpy_mask(valid)
    layer = SelfAttention(2, position=position, max_distance=3)
    layer(x, x, tf.constant(mask))
    randomise(layer)
    query = layer._query(x).numpy()
    key, value = np.split(layer._key_value(x).numpy(), 2, axis=-1)
    query, key, value = (heads_of(part, 2) for part in (query, key, value))
    if position == "rotary":
        query, key = turned(query), turned(key)
    scores = query @ key.swapaxes(-1, -2) / 2  # Heads of width 4.
    if position == "relative":
        scores = scores + bias_of(layer._scores.position_bias, 5)
    weights = np.where(mask[:, np.newaxis], np.exp(scores), 0)
    weights /= weights.sum(axis=-1, keepdims=True)
    attended = np.concatenate(list((weights @ value).swapaxes(0, 1)), axis=-1)
    np.testing.assert_allclose(
        layer(x, x, tf.constant(mask)), layer._output(attended.astype(np.float32)), atol=1e-4
    )
    np.testing.assert_allclose(
        layer.attention_weights(x, x, tf.constant(mask)), weights, rtol=1e-3, atol=1e-5
    )


def test_causal_filter():
    x = inputs()[0]
    layer = CausalFilter(3)
    layer(x)
    assert not layer(x).numpy().any()
    randomise(layer)
    response = layer.response.numpy()
    expected = np.zeros_like(x)
    for t in range(5):
        for k in range(min(3, t + 1)):
            expected[:, t] += response[k] * x[:, t - k]
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


def test_filter_beside_attention():
    x, valid = inputs()
    mask = tf.constant(numpy_mask(valid))
    plain, filtered = SelfAttention(2, seed=1), SelfAttention(2, filter_size=3, seed=1)
    np.testing.assert_allclose(plain(x, x, mask), filtered(x, x, mask), atol=1e-6)
    randomise(filtered._filter)
    added = filtered._filter(np.where(valid[..., np.newaxis], x, 0))
    np.testing.assert_allclose(filtered(x, x, mask), plain(x, x, mask) + added, atol=1e-5)


@pytest.mark.parametrize("hidden_dim", [None, 12])
def test_ligr_block(hidden_dim):
    x, valid = inputs()
    mask = tf.constant(numpy_mask(valid))
    block = LiGRBlock(num_heads=2, hidden_dim=hidden_dim)
    block(x, mask)
    randomise(block)

    def weight(layer):
        (kernel,) = layer.get_weights()
        return kernel

    memory = numpy_norm(block._attention_norm, x).astype(np.float32)
    attended = block._attention(memory, memory, mask).numpy()
    y = x + sigmoid(x @ weight(block._attention_gate)) * attended
    passing, value = np.split(
        numpy_norm(block._feed_forward_norm, y) @ weight(block._hidden), 2, axis=-1
    )
    assert value.shape[-1] == (hidden_dim or 32)
    fed = (passing * sigmoid(passing) * value) @ weight(block._output)
    y = y + sigmoid(y @ weight(block._feed_forward_gate)) * fed
    np.testing.assert_allclose(block(x, mask), y, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("position", [None, "relative", "rotary"])
def test_hstu_block(position):
    x, valid = inputs()
    mask = numpy_mask(valid)
    block = HSTUBlock(num_heads=2, position=position, max_distance=6)
    block(x, tf.constant(mask))
    randomise(block)
    parts = numpy_norm(block._norm, x) @ block._parts.get_weights()[0]
    gate, value, query, key = np.split(parts * sigmoid(parts), 4, axis=-1)
    value, query, key = (heads_of(part, 2) for part in (value, query, key))
    if position == "rotary":
        query, key = turned(query), turned(key)
    scores = query @ key.swapaxes(-1, -2)
    if position == "relative":
        scores = scores + bias_of(block._scores.position_bias, 5)
    weights = np.where(mask[:, np.newaxis], scores * sigmoid(scores), 0) / 6
    attended = np.concatenate(list((weights @ value).swapaxes(0, 1)), axis=-1)
    kernel, bias = block._output.get_weights()
    expected = x + (numpy_norm(block._attended_norm, attended) * gate) @ kernel + bias
    np.testing.assert_allclose(block(x, tf.constant(mask)), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        block.attention_weights(x, tf.constant(mask)), weights, rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize(
    "block",
    [
        LiGRBlock(2, position="relative", filter_size=2),
        LiGRBlock(2, position="rotary"),
        HSTUBlock(2),
        HSTUBlock(2, position="rotary"),
        SASRecBlock(2, position="relative", filter_size=2),
        SASRecBlock(2, norm="pre", position="rotary"),
    ],
)
def test_the_last_position_alone_is_that_of_all(block):
    x, valid = inputs()
    mask = tf.constant(numpy_mask(valid))
    block(x, mask)
    randomise(block)
    np.testing.assert_allclose(
        block(x, mask, last_only=True), block(x, mask)[:, -1:], rtol=1e-3, atol=1e-3
    )


def test_errors_name_the_argument():
    x, mask = tf.ones([1, 2, 6]), tf.ones([1, 2, 2], tf.bool)
    for make in (SelfAttention, SASRecBlock, LiGRBlock, HSTUBlock):
        with pytest.raises(ValueError, match="position must be relative or rotary or None, not 'n"):
            make(position="none")
    with pytest.raises(ValueError, match="needs heads of even width, not of 3"):
        SelfAttention(2, position="rotary")(x, x, mask)
    with pytest.raises(ValueError, match="needs heads of even width, not of 3"):
        HSTUBlock(2, position="rotary")(x, mask)
    with pytest.raises(ValueError, match=r"num_heads \(4\) must divide"):
        HSTUBlock(4)(x, mask)
    with pytest.raises(ValueError, match="filter_size must be at least 0"):
        SelfAttention(filter_size=-1)
