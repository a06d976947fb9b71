"""Pooled words and pretrained vectors against numpy, and their stated rules."""

import json

import numpy as np
import pytest

from tfrecs._keras import keras, tf
from tfrecs.layers import PretrainedEmbedding, TextEmbedding

RNG = np.random.default_rng(0)
IDS = np.array([[1, 3, 3, 0], [2, 5, 9, 4], [0, 0, 0, 0], [5, -1, 0, 0]], np.int32)
NAN = np.nan


def texts(ids, n):
    return [[i - 1 for i in row if 1 <= i <= n] for row in ids]


def test_mean_is_over_known_words():
    layer = TextEmbedding(4, 3, seed=1)
    table = layer.table.numpy()
    expected = [table[row].mean(0) if row else np.zeros(3) for row in texts(IDS, 4)]
    np.testing.assert_allclose(layer(IDS), expected, atol=1e-7)
    # Of any rank.
    np.testing.assert_allclose(layer(IDS[None]), [expected], atol=1e-7)


def test_smooth_inverse_frequency_is_the_papers():
    layer = TextEmbedding(4, 3, "sif", smoothing=0.1, seed=1)
    corpus = np.array([[1, 1, 2], [1, 3, 0], [9, 5, 0]])  # word 4 never occurs
    layer.adapt(corpus)
    probability = np.array([3 / 5, 1 / 5, 1 / 5, 0])
    scaled = layer.table.numpy() * (0.1 / (0.1 + probability))[:, None]
    expected = [scaled[row].sum(0) / max(len(row), 1) for row in texts(IDS, 4)]
    np.testing.assert_allclose(layer(IDS), expected, atol=1e-7)


def test_not_adapted_is_an_error():
    layer = TextEmbedding(4, 3, "sif")
    with pytest.raises(tf.errors.InvalidArgumentError, match="call its adapt"):
        layer(IDS)
    with pytest.raises(ValueError, match="there is none"):
        layer.adapt([[0, 9]])
    with pytest.raises(ValueError, match="nothing to learn"):
        TextEmbedding(4, 3).adapt(IDS)


def test_pretrained_words():
    vectors = np.array([[1, 2], [NAN, NAN], [3, 4]], np.float32)
    trained, frozen = TextEmbedding(3, 2, seed=1), TextEmbedding(3, 2, seed=1, trainable=False)
    before = trained.table.numpy()
    trained.load_vectors(vectors), frozen.load_vectors(vectors)
    np.testing.assert_array_equal(trained.table, [[1, 2], before[1], [3, 4]])
    np.testing.assert_array_equal(frozen.table, [[1, 2], [0, 0], [3, 4]])
    assert trained.trainable_variables
    assert not frozen.trainable_variables
    assert not TextEmbedding.from_config(frozen.get_config()).trainable_variables
    with pytest.raises(ValueError, match=r"\[3, 2\], not \[3, 3\]"):
        trained.load_vectors(np.ones([3, 3]))


def test_only_the_words_of_a_batch_get_a_gradient():
    layer = TextEmbedding(4, 2, seed=1)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(IDS[1:2]))  # words 2 and 4
    gradient = tf.convert_to_tensor(tape.gradient(loss, layer.table)).numpy()
    np.testing.assert_allclose(gradient[:, 0], [0, 0.5, 0, 0.5])


def test_float16_is_computed_where_it_should_be():
    layer = TextEmbedding(4, 2, "sif", seed=1, dtype="mixed_float16")
    layer.adapt(np.array([1] * 100_000 + [2]))
    # A float16 holds no 1e-5.
    np.testing.assert_allclose(layer.word_weights[1], 1e-3 / (1e-3 + 1 / 100_001), rtol=1e-6)
    assert layer(IDS).dtype == tf.float16


def test_projection_of_pretrained_vectors():
    vectors = RNG.normal(size=(4, 6)).astype(np.float32)
    layer = PretrainedEmbedding(vectors, 3, seed=1)
    layer(IDS)
    kernel, bias = layer.trainable_variables
    bias.assign([1, 2, 3])
    expected = np.zeros((4, 4, 3), np.float32)
    for position, i in np.ndenumerate(IDS):
        if 1 <= i <= 4:
            expected[position] = vectors[i - 1] @ kernel.numpy() + [1, 2, 3]
    np.testing.assert_allclose(layer(IDS), expected, atol=1e-5)


def test_what_is_trained():
    names = {
        fine_tune: sorted(
            variable.name.split("/")[-1] for variable in built(fine_tune).trainable_variables
        )
        for fine_tune in (False, True)
    }
    assert names == {False: ["bias:0", "kernel:0"], True: ["bias:0", "kernel:0", "table:0"]}


def built(fine_tune):
    layer = PretrainedEmbedding(np.eye(3), 2, fine_tune=fine_tune)
    layer(IDS)
    return layer


def test_a_config_holds_no_vectors():
    layer = PretrainedEmbedding(RNG.normal(size=(4, 6)), 3, seed=1)
    want = layer(IDS)
    config = json.loads(json.dumps(layer.get_config()))
    assert config["vectors"] == [4, 6]
    again = PretrainedEmbedding.from_config(config)
    with pytest.raises(tf.errors.InvalidArgumentError, match="load its weights"):
        again(IDS)
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(IDS), want)


def test_a_saved_model_brings_its_vectors(tmp_path):
    ids = keras.Input([4], dtype=tf.int32)
    model = keras.Model(ids, PretrainedEmbedding(RNG.normal(size=(4, 6)), 3)(ids))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again(IDS), model(IDS))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TextEmbedding(0, 3), "num_words"),
        (lambda: TextEmbedding(3, 3, "max"), "mean or sif"),
        (lambda: TextEmbedding(3, 3, "sif", smoothing=0.0), "smoothing"),
        (lambda: PretrainedEmbedding(np.ones(3), 2), r"not \(3,\)"),
        (lambda: PretrainedEmbedding(np.ones([0, 3]), 2), r"not \(0, 3\)"),
        (lambda: PretrainedEmbedding((0, 3), 2), r"not \(0, 3\)"),
        (lambda: PretrainedEmbedding(np.array([[1, NAN]]), 2), "not NaN"),
        (lambda: PretrainedEmbedding(np.eye(2), 0), "dim"),
    ],
)
def test_errors_name_the_argument(make, message):
    with pytest.raises(ValueError, match=message):
        make()
