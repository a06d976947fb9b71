"""Attention and SASRec's block against the formulas, in numpy."""

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.layers import SASRecBlock, SelfAttention, causal_mask


def numpy_mask(valid):
    batch, length = valid.shape
    mask = np.zeros((batch, length, length), bool)
    for b in range(batch):
        for i in range(length):
            for j in range(i + 1):
                mask[b, i, j] = valid[b, j] or i == j
    return mask


def numpy_attention(layer, x, memory, mask):
    """One query at a time, as in the paper."""
    wq, bq = layer._query.get_weights()
    wkv, bkv = layer._key_value.get_weights()
    wo, bo = layer._output.get_weights()
    dim = x.shape[-1]
    q, kv = x @ wq + bq, memory @ wkv + bkv
    k, v = kv[..., :dim], kv[..., dim:]
    out = np.zeros_like(x)
    size = dim // layer.num_heads
    for b in range(x.shape[0]):
        for h in range(layer.num_heads):
            part = slice(h * size, (h + 1) * size)
            for i in range(x.shape[1]):
                seen = np.flatnonzero(mask[b, i])
                e = np.exp(k[b, seen, part] @ q[b, i, part] / np.sqrt(size))
                out[b, i, part] = (e / e.sum()) @ v[b, seen, part]
    return out @ wo + bo


def numpy_norm(layer, x):
    gamma, beta = layer.get_weights()
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + layer.epsilon) * gamma + beta


def numpy_feed_forward(block, x):
    (w1, b1), (w2, b2) = block._hidden.get_weights(), block._output.get_weights()
    return np.maximum(x @ w1 + b1, 0) @ w2 + b2


def inputs(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3, 5, 8)).astype(np.float32)
    valid = np.array([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1]], bool)
    return x, valid


def randomise(layer, seed=1):
    rng = np.random.default_rng(seed)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) * 0.5)


def test_causal_mask():
    _, valid = inputs()
    assert np.array_equal(causal_mask(tf.constant(valid)), numpy_mask(valid))


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention(heads):
    x, valid = inputs()
    memory = inputs(5)[0]
    layer = SelfAttention(heads)
    layer(x, memory, causal_mask(tf.constant(valid)))
    randomise(layer)
    out = layer(x, memory, causal_mask(tf.constant(valid)))
    expected = numpy_attention(layer, x, memory, numpy_mask(valid))
    np.testing.assert_allclose(out, expected, atol=1e-5)


@pytest.mark.parametrize("norm", ["paper", "pre", "post"])
def test_block(norm):
    x, valid = inputs()
    mask = numpy_mask(valid)
    block = SASRecBlock(num_heads=2, hidden_dim=12, norm=norm)
    block(x, tf.constant(mask))
    randomise(block)
    first, second = block._norm_attention, block._norm_feed_forward

    def attend(query, memory):
        return numpy_attention(block._attention, query, memory, mask)

    if norm == "paper":
        query = numpy_norm(first, x)
        y = numpy_norm(second, query + attend(query, x))
        y = y + numpy_feed_forward(block, y)
    elif norm == "pre":
        y = x + attend(numpy_norm(first, x), numpy_norm(first, x))
        y = y + numpy_feed_forward(block, numpy_norm(second, y))
    else:
        y = numpy_norm(first, x + attend(x, x))
        y = numpy_norm(second, y + numpy_feed_forward(block, y))
    np.testing.assert_allclose(block(x, tf.constant(mask)), y, atol=2e-4)


def test_initial_limits_are_glorots():
    layer = SelfAttention(1, seed=3)
    layer(tf.ones([1, 2, 64]), tf.ones([1, 2, 64]), tf.ones([1, 2, 2], tf.bool))
    limit = np.sqrt(6 / (64 + 64))
    for dense in (layer._query, layer._key_value, layer._output):
        kernel = dense.get_weights()[0]
        assert np.abs(kernel).max() == pytest.approx(limit, rel=0.02)


def test_dropout_only_in_training():
    x, valid = inputs()
    block = SASRecBlock(dropout=0.5, seed=1)
    mask = causal_mask(tf.constant(valid))
    assert np.array_equal(block(x, mask), block(x, mask, training=False))
    assert not np.allclose(block(x, mask, training=True), block(x, mask, training=True))


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match="norm must be one of paper, pre, post"):
        SASRecBlock(norm="none")
    with pytest.raises(ValueError, match=r"num_heads \(3\) must divide"):
        SelfAttention(3)(tf.ones([1, 2, 8]), tf.ones([1, 2, 8]), tf.ones([1, 2, 2], tf.bool))
