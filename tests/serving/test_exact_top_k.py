"""The search by blocks against `tf.math.top_k` of all scores, and against numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrecs._keras import tf
from tfrecs.serving.index import exact
from tfrecs.serving.index.exact import best_products, best_scores

LOWEST = np.finfo(np.float32).min


@pytest.fixture
def tiny_blocks(monkeypatch):
    """Blocks of one to a few groups of 4, so that few items make many of them."""
    monkeypatch.setattr(exact, "_GROUP", 4)
    monkeypatch.setattr(exact, "_SMALL", 8)
    monkeypatch.setattr(exact, "_BLOCK_SCORES", 40)


def nobody(count):
    return np.zeros([count, 0], np.int32)


def search(queries, vectors, k, excluded=None, norm=None):
    excluded = nobody(len(queries)) if excluded is None else excluded
    with np.errstate(over="ignore", invalid="ignore"):
        norm = np.linalg.norm(vectors, axis=1).max() if norm is None else norm
    function = tf.function(lambda q, v, e: best_products(q, v, k, e, norm))
    return [x.numpy() for x in function(queries, vectors, np.asarray(excluded, np.int32))]


def ranked(scores, k, excluded):
    """Scores and rows as they must come, by sorting: best first, ties by the row."""
    best, rows = [], []
    for row, out in zip(scores.astype(np.float64), excluded, strict=True):
        row = np.where(np.isfinite(row.astype(np.float32)), row, LOWEST)
        row[[i for i in out if 0 <= i < len(row)]] = LOWEST
        order = np.argsort(-row, kind="stable")[:k]
        best.append(row[order])
        rows.append(np.where(row[order] > LOWEST, order, -1))
    return np.array(best, np.float32), np.array(rows)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_small_numbers_with_many_ties(data):
    """Sums of small integers are exact in any order: no rounding is in the way."""
    draw = data.draw
    n, batch = draw(st.integers(1, 90)), draw(st.integers(0, 4))
    k = draw(st.integers(1, n))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    high = draw(st.integers(1, 4))
    vectors = rng.integers(-high, high + 1, (n, 3)).astype(np.float32)
    queries = rng.integers(-high, high + 1, (batch, 3)).astype(np.float32)
    excluded = rng.integers(-2, n + 2, (batch, draw(st.integers(0, 2 * n))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "_GROUP", 4)
        patch.setattr(exact, "_SMALL", draw(st.sampled_from([8, 1000])))
        patch.setattr(exact, "_BLOCK_SCORES", draw(st.sampled_from([8, 100])))
        best, rows = search(queries, vectors, k, excluded)
        of_scores = best_scores(tf.constant(queries @ vectors.T), k, excluded.astype(np.int32))
    want = ranked(queries @ vectors.T, k, excluded) if batch else (np.zeros((0, k)),) * 2
    for found in ((best, rows), of_scores):
        np.testing.assert_array_equal(found[0], want[0])
        np.testing.assert_array_equal(found[1], want[1])


@pytest.mark.parametrize("batch", [1, 3, 70])
def test_the_blocks_of_real_sizes_give_what_top_k_gives(batch):
    """100,000 items in 4 to 7 blocks; vectors come twice, so that every score does."""
    rng = np.random.default_rng(batch)
    half = rng.normal(size=(50_000, 16)).astype(np.float32)
    vectors = np.concatenate([half, half])[rng.permutation(100_000)]
    queries = rng.normal(size=(batch, 16)).astype(np.float32)
    best, rows = search(queries, vectors, 100)
    scores = tf.matmul(queries, vectors, transpose_b=True)
    want = tf.math.top_k(scores, 100)
    np.testing.assert_allclose(best, want.values, rtol=1e-5)
    # Rounding may depend on where in a matrix an item stands; the scores found are those of the
    # items found, and equal ones come in the order of their rows.
    there = tf.gather(scores, rows, batch_dims=1)
    np.testing.assert_allclose(best, there, rtol=1e-5)
    assert (rows == want.indices.numpy()).mean() > 0.98
    tied = best[:, :-1] == best[:, 1:]
    assert tied.any()
    assert (rows[:, :-1] < rows[:, 1:])[tied].all()


def test_numbers_that_are_none(tiny_blocks):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(50, 4)).astype(np.float32)
    vectors[[3, 17, 30, 49], 0] = np.nan, np.inf, -np.inf, 3e38
    vectors[:, 1] = 1
    queries = rng.normal(size=(4, 4)).astype(np.float32)
    queries[1, 0] = 1e10  # times 3e38 is infinite, and it only
    queries[2] = np.nan
    queries[3, 0] = 0  # times infinity is no number
    best, rows = search(queries, vectors, 20)
    with np.errstate(over="ignore", invalid="ignore"):
        scores = queries @ vectors.T
    want = ranked(scores, 20, nobody(4))
    np.testing.assert_allclose(best, want[0], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(rows, want[1])
    assert set(rows[2]) == {-1}
    # As TensorFlow alone has it, a number is lost or not a number comes out.
    assert not np.isfinite(tf.math.top_k(scores, 20).values).all()


def test_products_that_overflow_although_all_vectors_are_finite(tiny_blocks):
    vectors = np.ones((40, 2), np.float32)
    vectors[7] = 3e38, -3e38
    best, rows = search(np.full((1, 2), 1e5, np.float32), vectors, 40)
    assert rows[0].tolist() == [*range(7), *range(8, 40), -1]
    np.testing.assert_allclose(best[0, :-1], 2e5)


def test_all_excluded_and_more(tiny_blocks):
    vectors = np.arange(40, dtype=np.float32)[:, np.newaxis]
    excluded = [[*range(40)], [*range(39), -1], [39] * 40]
    best, rows = search(np.ones((3, 1), np.float32), vectors, 3, excluded)
    assert rows.tolist() == [[-1, -1, -1], [39, -1, -1], [38, 37, 36]]
    assert best[:2].tolist() == [[LOWEST] * 3, [39, LOWEST, LOWEST]]


def test_no_matrix_of_all_scores():
    """The graph's largest tensor of scores is a block's, whatever the number of items."""
    function = tf.function(
        lambda q, v: best_products(q, v, 10, tf.zeros([64, 0], tf.int32), 1.0)
    ).get_concrete_function(tf.TensorSpec([64, 8]), tf.TensorSpec([1_000_000, 8]))
    nodes = {n.op for f in function.graph.as_graph_def().library.function for n in f.node_def}
    assert {"MatMul", "StridedSlice", "TopKV2"} <= nodes
    outside = {n.op for n in function.graph.as_graph_def().node}
    assert "MatMul" not in outside
