"""The Lorentzian similarity against distances on the hyperboloid, in models and exports."""

import numpy as np
import pytest

import tfrecs
from tests.models.test_two_tower import BATCH, make
from tfrecs._keras import tf
from tfrecs.data import Vocabulary
from tfrecs.models.similarity import item_side, query_side
from tfrecs.serving import Recommender, export

RNG = np.random.default_rng(0)


def on_hyperboloid(x):
    x = np.asarray(x, np.float64)
    return np.concatenate([np.sqrt(1 + np.square(x).sum(-1, keepdims=True)), x], -1)


def minus_squared_distance(x, y):
    difference = on_hyperboloid(x)[:, np.newaxis] - on_hyperboloid(y)
    return np.square(difference[..., 0]) - np.square(difference[..., 1:]).sum(-1)


def test_it_is_the_negative_squared_distance_and_falls_with_the_hyperbolic_one():
    x, y = (RNG.normal(size=(n, 3)).astype(np.float32) for n in (4, 50))
    products = query_side(x, "lorentz", 0.5) @ tf.transpose(item_side(y, "lorentz"))
    want = minus_squared_distance(x, y)
    np.testing.assert_allclose(products, want / 0.5, rtol=1e-4, atol=1e-4)
    a, b = on_hyperboloid(x), on_hyperboloid(y)
    hyperbolic = np.arccosh(a[:, :1] * b[:, 0] - a[:, 1:] @ b[:, 1:].T)
    np.testing.assert_array_equal(np.argsort(-want, 1), np.argsort(hyperbolic, 1))
    same = query_side(x, "lorentz", 1.0) * item_side(x, "lorentz")
    np.testing.assert_allclose(tf.reduce_sum(same, axis=1), 0, atol=1e-5)


@pytest.mark.parametrize("pooling", [None, "mean", "long_short"])
def test_two_towers(pooling):
    """Histories are pooled from the towers' own vectors, without the coordinates added for it."""
    model, plain = (
        make(pooling=pooling, similarity=similarity, temperature=1.0)
        for similarity in ("lorentz", "dot")
    )
    plain.set_weights(model.get_weights())
    want = minus_squared_distance(plain.query_vectors(BATCH), plain.item_vectors())
    np.testing.assert_allclose(model.score(BATCH), want, rtol=1e-4, atol=1e-4)
    items = tf.constant([[3, 1], [2, 5], [9, 9]])
    some = np.take_along_axis(want, items.numpy() - 1, 1)
    np.testing.assert_allclose(model.score(BATCH, items), some, rtol=1e-4, atol=1e-4)


def test_an_export_answers_the_distances(tmp_path):
    items = Vocabulary(np.arange(100, 130))
    model = tfrecs.models.SASRec(
        items, dim=8, num_blocks=1, max_length=5, similarity="lorentz", temperature=0.5, seed=1
    )
    model.embedding.table.assign(RNG.normal(size=(30, 8)))
    history = np.array([[0, 0, 7, 3, 12]], np.int32)
    state = model.states(tf.constant(history), last_only=True)[:, 0]
    want = minus_squared_distance(state, model.embedding.table)[0] / 0.5
    want[history[history > 0] - 1] = -np.inf  # Known items are left out.
    best = np.argsort(-want)[:10]
    answer = Recommender(export(model, tmp_path, k=10)).recommend([106, 102, 111], k=10)
    assert [item for item, _ in answer] == (best + 100).tolist()
    np.testing.assert_allclose([score for _, score in answer], want[best], rtol=1e-4)
