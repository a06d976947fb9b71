"""The layer that stands in for TFRS's BruteForce, beside it."""

import numpy as np
import pytest

from tfrecs._keras import tf, tfrs
from tfrecs.serving import BlockTopK
from tfrecs.serving.folder.graph_check import check_graph
from tfrecs.serving.index import exact

LOWEST = np.finfo(np.float32).min
BruteForce = tfrs.layers.factorized_top_k.BruteForce
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(70, 8)).astype(np.float32)
QUERIES = RNG.normal(size=(5, 8)).astype(np.float32)
NAMES = np.array([f"item {i}" for i in RNG.permutation(70)])


@pytest.fixture(autouse=True, params=[8, 1000], ids=["blocks", "one block"])
def sizes(request, monkeypatch):
    monkeypatch.setattr(exact, "_GROUP", 4)
    monkeypatch.setattr(exact, "_SMALL", request.param)
    monkeypatch.setattr(exact, "_BLOCK_SCORES", 100)


@pytest.mark.parametrize("identifiers", [None, NAMES, np.arange(70)[::-1] + 2**40])
def test_answers_as_brute_force(identifiers):
    identifiers = None if identifiers is None else tf.constant(identifiers)
    ours, theirs = (
        layer(k=9).index(tf.constant(VECTORS), identifiers) for layer in (BlockTopK, BruteForce)
    )
    for k in (None, 1, 70):
        got, want = (layer(tf.constant(QUERIES), k=k) for layer in (ours, theirs))
        # Sums in another order, of terms of about 1.
        np.testing.assert_allclose(got[0], want[0], rtol=1e-5, atol=1e-6)
        assert got[1].numpy().tolist() == want[1].numpy().tolist()
    assert ours.is_exact()


def test_a_query_model_and_a_new_index():
    index = BlockTopK(tf.keras.layers.Lambda(lambda x: x["query"] * 2), k=2)
    index.index(tf.constant(VECTORS))
    first = index({"query": tf.constant(QUERIES)})
    np.testing.assert_allclose(first[0], -np.sort(-2 * QUERIES @ VECTORS.T)[:, :2], rtol=1e-5)
    index.index(tf.constant(VECTORS[:3] * 7))
    scores, rows = index({"query": tf.constant(QUERIES)})
    np.testing.assert_allclose(scores, -np.sort(-14 * QUERIES @ VECTORS[:3].T)[:, :2], rtol=1e-5)
    assert rows.numpy().max() <= 2


def test_exclusions():
    index = BlockTopK(k=4).index(tf.constant(VECTORS * 1e6), tf.constant(NAMES))
    order = np.argsort(-QUERIES @ VECTORS.T, axis=1)
    excluded = np.stack([NAMES[row[[0, 2, 2]]] for row in order])
    scores, ids = index.query_with_exclusions(tf.constant(QUERIES), tf.constant(excluded))
    want = [[NAMES[j].encode() for j in row[[1, 3, 4, 5]]] for row in order]
    assert ids.numpy().tolist() == want
    few = BlockTopK(k=3).index(tf.constant(VECTORS[:3]), tf.constant(NAMES[:3]))
    everything = tf.constant([NAMES[:3]] * 5)
    scores, ids = few.query_with_exclusions(tf.constant(QUERIES), everything)
    assert set(ids.numpy().ravel()) == {b""}
    assert set(scores.numpy().ravel()) == {LOWEST}


def test_in_the_metric_of_tfrs():
    true = VECTORS[:5]
    results = []
    for layer in (BlockTopK, BruteForce):
        candidates = layer(k=70).index(tf.constant(VECTORS))
        metric = tfrs.metrics.FactorizedTopK(candidates, ks=(1, 10, 50))
        metric.update_state(tf.constant(QUERIES), tf.constant(true))
        results.append([float(x) for x in metric.result()])
    assert results[0] == results[1]
    assert 0 < results[0][-1] < 1


@pytest.mark.slow
def test_a_saved_model_of_it_needs_nothing_else(tmp_path):
    index = BlockTopK(k=3).index(tf.constant(VECTORS), tf.constant(NAMES))
    want = index(tf.constant(QUERIES))
    search = tf.function(index, input_signature=[tf.TensorSpec([None, 8])])
    module = tf.Module()
    module.index, module.search = index, search
    tf.saved_model.save(module, str(tmp_path), signatures=None)
    check_graph(tmp_path)
    loaded = tf.saved_model.load(str(tmp_path))
    got = loaded.search(tf.constant(QUERIES))
    np.testing.assert_array_equal(got[0], want[0])
    assert got[1].numpy().tolist() == want[1].numpy().tolist()


def test_mistakes():
    with pytest.raises(ValueError, match="no candidates yet: call index first"):
        BlockTopK()(tf.constant(QUERIES))
    with pytest.raises(ValueError, match=r"must be \[n, dim\] and identifiers \[n\], not .70, 8. "):
        BlockTopK().index(tf.constant(VECTORS), tf.range(3))
    with pytest.raises(ValueError, match="k must be from 1 to the number of candidates, 70, not 0"):
        BlockTopK().index(tf.constant(VECTORS))(tf.constant(QUERIES), k=0)


def test_exclusions_survive_a_saved_model(tmp_path):
    index = BlockTopK(k=2)
    index.index(tf.constant([[1.0], [3.0], [2.0]]), tf.constant(["a", "b", "c"]))
    query, exclusions = tf.constant([[10.0]]), tf.constant([["b"]])
    want = index.query_with_exclusions(query, exclusions)
    index(query)
    tf.saved_model.save(index, str(tmp_path / "index"))
    loaded = tf.saved_model.load(str(tmp_path / "index"))
    got = loaded.query_with_exclusions(query, exclusions)
    np.testing.assert_array_equal(got[1], want[1])
    np.testing.assert_allclose(got[0], want[0])
    with pytest.raises(ValueError, match="with a known e"):
        tf.function(
            lambda rows: index.query_with_exclusions(query, rows),
            input_signature=[tf.TensorSpec([None, None], tf.string)],
        ).get_concrete_function()
