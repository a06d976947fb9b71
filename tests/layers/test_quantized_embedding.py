"""QuantizedItemEmbedding: vectors by numpy, codes by numpy's decomposition."""

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.data import Histories, TrainSet
from tfrecs.layers import QuantizedItemEmbedding
from tfrecs.layers.item_codes import svd_codes


def by_hand(layer):
    """The vectors of all items: centroids put side by side."""
    parts = layer.table.numpy().reshape(layer.code_length, layer.num_centroids, -1)
    return np.concatenate(
        [part[column] for part, column in zip(parts, layer.codes().T, strict=True)], axis=1
    )


@pytest.mark.parametrize(("num_items", "code_length"), [(9, 4), (7, 3), (1, 1), (6, 12)])
def test_a_vector_is_the_centroids_of_its_codes_side_by_side(num_items, code_length):
    layer = QuantizedItemEmbedding(num_items, 12, code_length, num_centroids=5, seed=3)
    assert layer.codes().shape == (num_items, code_length)
    assert layer.codes().max() < 5
    vectors = by_hand(layer)
    np.testing.assert_array_equal(layer.rows(), vectors)
    assert layer.rows().shape == (num_items, 12)
    ids = np.array([[0, num_items, 1], [num_items + 1, 1, -4]])
    padded = np.concatenate([np.zeros((1, 12)), vectors, np.zeros((1, 12))])
    expected = padded[np.maximum(ids, 0)]
    np.testing.assert_array_equal(layer(tf.constant(ids)), expected)
    np.testing.assert_array_equal(layer.rows(tf.constant([1])), vectors[:1])


def test_a_centroid_gets_the_gradients_of_all_items_that_share_it():
    layer = QuantizedItemEmbedding(50, 6, 2, num_centroids=4, seed=1)
    weights = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer.rows() * weights)
    gradient = tape.gradient(loss, layer.table)
    assert isinstance(gradient, tf.Tensor)  # No slices: an optimizer would update rows twice.
    expected = np.zeros((8, 3))
    for codes, row in zip(layer.codes(), weights, strict=True):
        for place, code in enumerate(codes):
            expected[place * 4 + code] += row[place * 3 : place * 3 + 3]
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-6)


def test_codes_are_equal_bins_of_numpys_singular_vectors():
    rng = np.random.default_rng(2)
    # Three factors of different size, so that singular values lie apart.
    logits = (rng.normal(size=(300, 3)) * [4, 2, 1]) @ rng.normal(size=(3, 40)) - 1
    matrix = (rng.random((300, 40)) < 1 / (1 + np.exp(-logits))).astype(int)
    matrix[:, :10] *= rng.integers(1, 3, (300, 10))  # Some repeat an item.
    users, items = np.repeat(np.argwhere(matrix), matrix[matrix > 0], axis=0).T
    codes = svd_codes(users, items, 40, length=3, num_centroids=8)
    assert codes.dtype == np.uint8
    _, _, vectors = np.linalg.svd(matrix)
    for found, vector in zip(codes.T, vectors, strict=False):
        assert np.bincount(found, minlength=8).tolist() == [5] * 8
        bins = vector.argsort().argsort() // 5
        # Signs of singular vectors are anybody's choice; noise moves neighbours at an edge.
        same = max((found == bins).mean(), (found == 7 - bins).mean())
        assert same >= 0.9
    np.testing.assert_array_equal(codes, svd_codes(users, items, 40, 3, 8))


def test_items_of_the_same_users_share_codes():
    users, items = np.array([(u, i) for u in range(60) for i in range(40) if u % 4 == i % 4]).T
    users, items = users[:-7], items[:-7]
    codes = svd_codes(users, items, 40, length=4, num_centroids=4)
    group = np.arange(40) % 4
    shared = (codes[:, np.newaxis] == codes).mean(axis=2)
    alike = group[:, np.newaxis] == group
    assert shared[alike].mean() > 0.7 > 0.3 > shared[~alike].mean()


def test_codes_where_there_is_nothing_to_learn():
    nothing = np.zeros(0, np.int64)
    codes = svd_codes(nothing, nothing, 12, length=2, num_centroids=4)
    assert [np.bincount(column).tolist() for column in codes.T] == [[3] * 4] * 2
    few = svd_codes(np.array([0, 1]), np.array([0, 1]), 2, length=5, num_centroids=256)
    assert few.shape == (2, 5)
    assert (few[0] != few[1]).all()


def test_adapt_takes_the_training_part():
    train = TrainSet(Histories.from_lists([[1, 2, 5], [2, 3], [4, 5]]), np.array([1, 2, 3]), 5)
    layer = QuantizedItemEmbedding(5, 4, 2, seed=1)
    layer.adapt(train)
    users, items = np.array([0, 0, 0, 1, 1, 2, 2]), np.array([0, 1, 4, 1, 2, 3, 4])
    np.testing.assert_array_equal(layer.codes(), svd_codes(users, items, 5, 2, 256))
    with pytest.raises(ValueError, match="the training part has 5 items and the layer 6"):
        QuantizedItemEmbedding(6, 4, 2).adapt(train)


def test_grown_keeps_vectors_and_finds_codes_of_new_items():
    rng = np.random.default_rng(1)
    codes = rng.integers(0, 256, (30, 2)).astype(np.uint8)
    small = QuantizedItemEmbedding(20, 8, 2, seed=1)
    set_codes(small, codes[:20])
    large = QuantizedItemEmbedding(30, 8, 2, seed=2)
    # The other log's factors: in the other order, one of them with the other sign.
    set_codes(large, np.stack([255 - codes[:, 1], codes[:, 0]], axis=1))
    large.grow_from(small)
    np.testing.assert_array_equal(large.codes(), codes)
    np.testing.assert_array_equal(large.rows()[:20], small.rows())


def set_codes(layer, codes):
    """Codes of a byte `[n, 2]` in words of 4: the first one is the lowest byte."""
    layer._codes.assign((codes @ np.array([1, 256])).astype(np.int32)[:, np.newaxis])
    np.testing.assert_array_equal(layer.codes(), codes)


@pytest.mark.parametrize(
    ("code_length", "num_centroids", "words"),
    [(64, 8, 7), (64, 16, 8), (16, 104, 4), (5, 256, 2), (32, 2, 1), (7, 17, 2)],
)
def test_codes_take_as_few_bits_as_they_need(code_length, num_centroids, words):
    layer = QuantizedItemEmbedding(10, 64 * 35, code_length, num_centroids, seed=4)
    rng = np.random.default_rng(4)
    codes = rng.integers(0, num_centroids, (10, code_length), np.uint8)
    np.testing.assert_array_equal(layer.codes(), codes)
    assert layer.codes().max() > 0.6 * (num_centroids - 1)
    assert layer.non_trainable_weights[0].numpy().nbytes == 10 * words * 4
    np.testing.assert_array_equal(layer.rows(), by_hand(layer))


def test_quantised_vectors_are_means_of_the_nearest():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 6)).astype(np.float32)
    layer = QuantizedItemEmbedding(300, 6, 3, num_centroids=16, seed=1)
    layer.quantize(vectors)
    centroids, codes = layer.table.numpy().reshape(3, 16, 2), layer.codes()
    for part in range(3):
        points = vectors[:, 2 * part : 2 * part + 2]
        apart = np.linalg.norm(points[:, np.newaxis] - centroids[part], axis=2)
        np.testing.assert_array_equal(codes[:, part], apart.argmin(axis=1))
        means = [points[codes[:, part] == k].mean(axis=0) for k in range(16)]
        # k-means has nearly settled.
        np.testing.assert_allclose(centroids[part], means, atol=0.1)
    lost = np.square(layer.rows() - vectors).sum() / np.square(vectors).sum()
    # Of a normal number two bits lose 11.75% (Max, 1960), of pairs and of few points less.
    assert 0.05 < lost < 0.1175


def test_few_vectors_are_kept_whole():
    vectors = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    layer = QuantizedItemEmbedding(5, 4, 2, num_centroids=8)
    layer.quantize(vectors)
    np.testing.assert_allclose(layer.rows(), vectors, rtol=1e-6)


def test_wrong_arguments():
    for wrong, message in (
        ({"code_length": 3}, r"code_length \(3\) must divide dim \(8\)"),
        ({"code_length": 0}, "code_length must be at least 1"),
        ({"num_centroids": 257}, "num_centroids must be at most 256, as a code is one byte"),
        ({"num_centroids": 1}, "num_centroids must be at least 2"),
    ):
        with pytest.raises(ValueError, match=message):
            QuantizedItemEmbedding(5, 8, **wrong)
