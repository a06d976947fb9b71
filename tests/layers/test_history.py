"""Pooled histories against numpy, and their stated rules."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs._keras import keras, tf
from tfrecs.layers import HistoryPooling, ItemEmbedding, LongShortHistory

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 5, 6)).astype(np.float32)
MASK = np.array([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1], [0, 1, 0, 1, 0]], bool)
EVERY = [
    lambda **k: HistoryPooling("mean", **k),
    lambda **k: HistoryPooling("recency", 2.0, **k),
    lambda **k: HistoryPooling("attention", num_heads=2, seed=1, **k),
    lambda **k: LongShortHistory(2, "attention", "recency", seed=1, **k),
    lambda **k: LongShortHistory(2, "recency", "attention", fusion="concat", seed=1, **k),
]


def softmax(logits):
    e = np.exp(logits - logits.max())
    return e / e.sum()


def weighted(logits_of):
    """The weighted means of X's rows, by a function of the valid positions and vectors."""
    out = []
    for x, mask in zip(X, MASK, strict=True):
        positions = 4 - np.flatnonzero(mask)
        out.append(softmax(logits_of(positions, x[mask])) @ x[mask])
    return np.array(out)


def randomise(layer):
    rng = np.random.default_rng(1)
    for variable in layer.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))


def test_mean():
    expected = [x[mask].mean(0) for x, mask in zip(X, MASK, strict=True)]
    np.testing.assert_allclose(HistoryPooling()(X, mask=tf.constant(MASK)), expected, atol=1e-6)
    np.testing.assert_allclose(HistoryPooling()(X), X.mean(1), atol=1e-6)


def test_recency_halves_every_half_life():
    layer = HistoryPooling("recency", half_life=2.0)
    expected = weighted(lambda p, x: -p / 2 * np.log(2))
    np.testing.assert_allclose(layer(X, mask=tf.constant(MASK)), expected, atol=1e-6)
    layer.log_half_life.assign(np.log(0.5))
    expected = weighted(lambda p, x: -p / 0.5 * np.log(2))
    np.testing.assert_allclose(layer(X, mask=tf.constant(MASK)), expected, atol=1e-6)


@pytest.mark.parametrize("learned", [True, False])
def test_the_half_life_is_learned_or_stays(learned):
    layer = HistoryPooling("recency", 3.0, learn_half_life=learned)
    # What users like is what they had four items ago.
    x = tf.constant(X[[1]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(layer(x) - x[:, 0]))
    names = [variable.name.split("/")[-1] for variable in layer.trainable_variables]
    assert names == ["empty:0"] + ["log_half_life:0"] * learned
    if learned:
        assert abs(float(tape.gradient(loss, layer.log_half_life))) > 1e-3
    assert float(layer.log_half_life) == pytest.approx(np.log(3))


@pytest.mark.parametrize("value", [-1e4, 1e4])
def test_no_half_life_is_too_extreme(value):
    layer = HistoryPooling("recency")
    layer(X)
    layer.log_half_life.assign(value)
    expected = X[:, -1] if value < 0 else X.mean(1)
    np.testing.assert_allclose(layer(X), expected, rtol=2e-3, atol=2e-3)


def test_attention_is_the_formula():
    layer = HistoryPooling("attention", hidden_dim=3)
    layer(X)
    randomise(layer)
    w, b = layer._hidden.get_weights()
    (q,) = layer._scores.get_weights()
    expected = weighted(lambda p, x: (np.tanh(x @ w + b) @ q)[:, 0])
    np.testing.assert_allclose(layer(X, mask=tf.constant(MASK)), expected, atol=1e-5)


def test_each_head_weighs_its_own_slice():
    layer = HistoryPooling("attention", num_heads=3)
    layer(X)
    randomise(layer)
    w, b = layer._hidden.get_weights()
    (q,) = layer._scores.get_weights()
    got = layer(X, mask=tf.constant(MASK)).numpy()
    for head in range(3):
        part = slice(2 * head, 2 * head + 2)
        expected = weighted(lambda p, x, h=head: np.tanh(x @ w + b) @ q[:, h])
        np.testing.assert_allclose(got[:, part], expected[:, part], atol=1e-5)


@pytest.mark.parametrize("fusion", ["gate", "concat"])
def test_long_and_short_are_joined(fusion):
    layer = LongShortHistory(2, "mean", "recency", fusion=fusion)
    mask = tf.constant(MASK)
    layer(X, mask=mask)
    randomise(layer)
    layer.long.log_half_life.assign(np.log(2.0))
    short = layer.short(X[:, 3:], mask=mask[:, 3:]).numpy()
    long = layer.long(X, mask=mask).numpy()
    np.testing.assert_allclose(short[0], X[0, 3:].mean(0), atol=1e-6)
    np.testing.assert_allclose(short[2], X[2, 4], atol=1e-6)
    kernel, bias = layer._fuse.get_weights()
    joined = np.concatenate([short, long], axis=1) @ kernel + bias
    gate = 1 / (1 + np.exp(-joined))
    expected = gate * short + (1 - gate) * long if fusion == "gate" else joined
    np.testing.assert_allclose(layer(X, mask=mask), expected, atol=1e-5)


def test_a_window_longer_than_the_history():
    layer = LongShortHistory(9, "mean", "mean")
    np.testing.assert_allclose(layer(X), X.mean(1), atol=1e-6)


def test_poolings_of_ones_own():
    short = HistoryPooling("recency", half_life=1.0, learn_half_life=False)
    layer = LongShortHistory(3, short, HistoryPooling("attention", num_heads=3, seed=4), seed=1)
    want = layer(X)
    again = LongShortHistory.from_config(layer.get_config())
    assert again.short.half_life == 1.0
    assert again.long.num_heads == 3
    np.testing.assert_allclose(again(X), want, atol=1e-6)


@pytest.mark.parametrize("make", EVERY)
def test_an_empty_history_has_a_learned_vector(make):
    layer = make()
    mask = tf.constant([[False] * 5, [True] * 5])
    with tf.GradientTape(persistent=True) as tape:
        out = layer(tf.constant(X[:2] + 100), mask=mask)
        first, second = (tf.reduce_sum(row) for row in tf.unstack(out))
    assert not out[0].numpy().any()
    empty = [variable for variable in layer.trainable_variables if "empty" in variable.name]
    assert empty
    for variable in empty:
        assert tape.gradient(first, variable).numpy().any()
        assert not tape.gradient(second, variable).numpy().any()
    # And it takes part in nothing else.
    for variable in empty:
        variable.assign(variable + 3)
    changed = layer(tf.constant(X[:2] + 100), mask=mask)
    assert changed[0].numpy().any()
    np.testing.assert_array_equal(changed[1], out[1])


@pytest.mark.parametrize("make", EVERY)
@settings(max_examples=10, derandomize=True, deadline=None)
@given(padding=st.integers(1, 6), junk=st.floats(-1e6, 1e6))
def test_padding_changes_nothing(make, padding, junk):
    layer = make()
    mask = tf.constant(MASK)
    want = layer(X, mask=mask)
    padded = np.pad(X, [(0, 0), (padding, 0), (0, 0)], constant_values=junk)
    wider = tf.pad(mask, [[0, 0], [padding, 0]])
    np.testing.assert_allclose(layer(padded, mask=wider), want, atol=1e-5)
    hidden = np.where(MASK[..., None], X, np.float32(junk))
    np.testing.assert_allclose(layer(hidden, mask=mask), want, atol=1e-5)


@pytest.mark.parametrize("make", EVERY)
@pytest.mark.parametrize("scale", [1e4, 1e18])
def test_extreme_vectors_have_finite_gradients(make, scale):
    layer = make()
    x = tf.constant(X * scale)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_mean(layer(x, mask=tf.constant(MASK)))
    for gradient in tape.gradient(loss, [x, *layer.trainable_variables]):
        assert gradient is None or np.isfinite(gradient).all()


@pytest.mark.parametrize("make", EVERY)
def test_mixed_precision_weighs_in_float32(make):
    long = np.repeat(X, 40, axis=1)
    layer, plain = make(dtype="mixed_float16"), make()
    layer(long), plain(long)
    plain.set_weights(layer.get_weights())
    out = layer(tf.constant(long, tf.float16))
    assert out.dtype == tf.float16
    np.testing.assert_allclose(tf.cast(out, tf.float32), plain(long), atol=5e-3)


def test_keras_hands_the_mask_down():
    ids = keras.Input([5], dtype=tf.int32)
    embedded = keras.layers.Embedding(9, 4, mask_zero=True)
    model = keras.Model(ids, HistoryPooling()(embedded(ids)))
    x = np.array([[0, 0, 0, 3, 4], [0, 0, 0, 0, 0]])
    table = embedded.get_weights()[0]
    np.testing.assert_allclose(model(x), [table[[3, 4]].mean(0), np.zeros(4)], atol=1e-7)


def test_the_vectors_are_the_item_towers_own():
    items = ItemEmbedding(9, 4, seed=1)
    history = tf.constant([[0, 0, 7, 7]])
    user = HistoryPooling("attention", num_heads=2)(items(history), mask=history > 0)
    np.testing.assert_allclose(user, items(tf.constant([7])), atol=1e-7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HistoryPooling("max"), "mode must be one of"),
        (lambda: HistoryPooling("recency", half_life=0.0), "half_life"),
        (lambda: HistoryPooling("attention", num_heads=0), "num_heads"),
        (lambda: HistoryPooling("attention", num_heads=4)(X), "must divide"),
        (lambda: LongShortHistory(0), "short_length"),
        (lambda: LongShortHistory(fusion="sum"), "gate or concat"),
        (lambda: LongShortHistory(short="max"), "mode must be one of"),
    ],
)
def test_errors_name_the_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()
