"""The chunked log-partition against TensorFlow's plain one, values and gradients."""

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.losses import logsumexp, weighted_logsumexp


def data(rows=11, items=53, dim=8):
    rng = np.random.default_rng(0)
    q = rng.normal(size=(rows, dim)).astype(np.float32)
    w = rng.normal(size=(items, dim)).astype(np.float32)
    weights = rng.uniform(size=rows).astype(np.float32) * (rng.uniform(size=rows) < 0.8)
    return tf.constant(q), tf.constant(w), tf.constant(weights / weights.sum())


def plain(q, w, weights):
    return tf.reduce_sum(weights * tf.reduce_logsumexp(tf.matmul(q, w, transpose_b=True), axis=1))


def value_and_gradients(function, q, w, *rest):
    with tf.GradientTape() as tape:
        tape.watch([q, w])
        value = 3 * function(q, w, *rest)
    return value, *tape.gradient(value, [q, w])


# Chunks of one row, of some, of all; and scores beyond what exp can bear without its maximum.
@pytest.mark.slow
@pytest.mark.parametrize("chunk_size", [1, 200, 2**22])
@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_equals_the_plain_one(chunk_size, mode):
    q, w, weights = data()

    def run(q, w, weights):
        return value_and_gradients(weighted_logsumexp, q, w, weights, chunk_size)

    if mode != "eager":
        shape = [None, 8] if mode == "graph" else q.shape
        run = tf.function(
            run,
            jit_compile=mode == "xla",
            input_signature=[
                tf.TensorSpec(shape),
                tf.TensorSpec(w.shape),
                tf.TensorSpec(shape[:1]),
            ],
        )
    for scale in (1.0, 100.0):
        found = run(q * scale, w, weights)
        for got, want in zip(found, value_and_gradients(plain, q * scale, w, weights), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_a_chunk_of_many_items_has_64_queries(monkeypatch):
    """At a million items 2^22 scores are 4 queries, and each chunk rewrites the gradient."""
    products, matmul = [], tf.matmul
    monkeypatch.setattr(tf, "matmul", lambda *a, **more: products.append(1) or matmul(*a, **more))
    monkeypatch.setattr(logsumexp, "_CHUNK", 4 * 53)
    given = data(rows=150)
    value = weighted_logsumexp(*given)
    assert len(products) == 3 * 3
    assert float(value) == pytest.approx(float(plain(*given)), rel=1e-5)
    signature = [tf.TensorSpec([None, 8]), tf.TensorSpec([None, 8]), tf.TensorSpec([None])]
    value = tf.function(weighted_logsumexp, input_signature=signature)(*given)
    assert float(value) == pytest.approx(float(plain(*given)), rel=1e-5)


@pytest.mark.parametrize(("gpus", "chunks"), [([], 11), (["/gpu:0"], 1)])
def test_a_gpu_gets_larger_chunks(gpus, chunks, monkeypatch):
    """Many small products would leave it idle."""
    products, matmul = [], tf.matmul
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: gpus)
    monkeypatch.setattr(logsumexp, "_CHUNK", 53)
    monkeypatch.setattr(logsumexp, "_LEAST_QUERIES", 1)
    monkeypatch.setattr(
        tf, "matmul", lambda *args, **more: products.append(1) or matmul(*args, **more)
    )
    value = weighted_logsumexp(*data())
    assert len(products) == 3 * chunks
    np.testing.assert_allclose(value, plain(*data()), rtol=1e-5)


def test_no_rows():
    value, d_q, d_w = value_and_gradients(
        weighted_logsumexp, tf.zeros([0, 4]), tf.ones([5, 4]), tf.zeros([0])
    )
    assert float(value) == 0
    assert d_q.shape == (0, 4)
    assert not d_w.numpy().any()


def test_never_holds_all_scores():
    """No tensor in the graph, forward or backward, has more elements than a chunk."""
    rows, items, dim, chunk = 64, 300, 8, 3000

    @tf.function
    def run(q, w, weights):
        return value_and_gradients(weighted_logsumexp, q, w, weights, chunk)

    concrete = run.get_concrete_function(
        tf.TensorSpec([rows, dim]), tf.TensorSpec([items, dim]), tf.TensorSpec([rows])
    )
    graphs = [
        concrete.graph,
        *(f.graph for f in concrete.graph._functions.values() if hasattr(f, "graph")),
    ]
    largest = max(
        int(np.prod(t.shape))
        for g in graphs
        for op in g.get_operations()
        for t in op.outputs
        if t.shape.is_fully_defined()
    )
    assert largest < rows * items
