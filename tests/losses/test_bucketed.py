"""`BucketedSoftmax` against the paper's algorithm in numpy."""

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.losses import BucketedSoftmax, DotProductScores, FullSoftmax, bucketed

RNG = np.random.default_rng(0)
N, ROWS, DIM = 40, 12, 6
ITEMS = RNG.normal(size=(N, DIM)).astype(np.float32)
QUERIES = RNG.normal(size=(ROWS, DIM)).astype(np.float32)
TARGETS = RNG.integers(1, N + 1, ROWS).astype(np.int32)
WEIGHTS = RNG.uniform(0.5, 2, ROWS).astype(np.float32)


def scores_of(queries, items):
    return DotProductScores(
        queries, len(items), lambda ids: tf.gather(items, ids - 1), lambda: items
    )


def value_and_gradients(loss, weights=WEIGHTS, targets=TARGETS):
    queries, items = tf.constant(QUERIES), tf.constant(ITEMS)
    with tf.GradientTape() as tape:
        tape.watch([queries, items])
        value = loss(tf.constant(targets), scores_of(queries, items), weights)
    gradients = tape.gradient(value, [queries, items])
    return float(value), *(tf.convert_to_tensor(g).numpy() for g in gradients)


def by_numpy(bits, b_x, b_y, mix, weights):
    """Loss and gradients, one bucket after another."""
    signs = 2.0 * (bits & 1) - 1
    valid = np.flatnonzero(weights > 0)
    centres = signs[: len(valid)].T @ QUERIES[valid] if mix else signs.T
    best = {}
    for centre in centres:
        members = valid[np.argsort(-(QUERIES[valid] @ centre))[:b_x]]
        items = np.argsort(-(ITEMS @ centre))[:b_y]
        for i in members:
            own = TARGETS[i] - 1
            columns = np.array([own, *(j for j in items if j != own)])
            s = QUERIES[i] @ ITEMS[columns].T
            loss = np.log(np.exp(s).sum()) - s[0]
            if i not in best or loss > best[i][0]:
                p = np.exp(s) / np.exp(s).sum()
                p[0] -= 1
                best[i] = loss, columns, p
    total = sum(weights[i] for i in best)
    value = sum(weights[i] * best[i][0] for i in best) / total
    d_queries, d_items = np.zeros_like(QUERIES), np.zeros_like(ITEMS)
    for i, (_, columns, p) in best.items():
        d_queries[i] += weights[i] / total * p @ ITEMS[columns]
        np.add.at(d_items, columns, weights[i] / total * np.outer(p, QUERIES[i]))
    return value, d_queries, d_items, len(best)


@pytest.mark.parametrize("mix", [True, False])
@pytest.mark.parametrize("some_empty", [False, True])
@pytest.mark.parametrize("chunk", [None, N])
def test_equals_the_papers(mix, some_empty, chunk, monkeypatch):
    weights = np.where(np.arange(ROWS) % 3 == 1, 0, WEIGHTS) if some_empty else WEIGHTS
    bits = np.random.default_rng(1).integers(0, 2**32, (ROWS if mix else DIM, 5)).astype(np.uint32)
    monkeypatch.setattr(bucketed, "random_bits", lambda shape, seed: tf.constant(bits))
    if chunk:  # Two centres at once: five need three passes, one of them filled up.
        monkeypatch.setattr(bucketed, "_CHUNK", 2 * chunk)
        monkeypatch.setattr(bucketed, "_LEAST_CENTRES", 1)
    found = value_and_gradients(BucketedSoftmax(5, 3, 6, mix), weights.astype(np.float32))
    *expected, chosen = by_numpy(bits, 3, 6, mix, weights)
    assert 3 < chosen < 5 * 3  # Some are in several buckets.
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


def test_with_everything_in_a_bucket_it_is_the_full_softmax():
    found = value_and_gradients(BucketedSoftmax(2, 100, 100, seed=1))
    for got, want in zip(found, value_and_gradients(FullSoftmax()), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


def test_its_negatives_are_harder_than_uniform_ones():
    """The mean probability of negatives under the full softmax, in buckets and in the catalogue."""
    loss = BucketedSoftmax(20, 3, 6, seed=1)
    members, ids = loss.buckets(tf.constant(QUERIES), tf.fill([ROWS], True), tf.constant(ITEMS))
    p = np.exp(QUERIES @ ITEMS.T)
    p /= p.sum(1, keepdims=True)
    chosen = p[members.numpy()[:, :, None], ids.numpy()[:, None] - 1]
    assert chosen.mean() > 2 / N


def test_rows_that_fill_the_batch_up_change_nothing():
    """Under XLA positions without a target stay, with weight 0."""
    short = slice(0, 8)
    loss = BucketedSoftmax(4, 3, 6, seed=1)
    items = tf.constant(ITEMS)
    want = loss(TARGETS[short], scores_of(tf.constant(QUERIES[short]), items), WEIGHTS[short])
    again = BucketedSoftmax(4, 3, 6, seed=1)
    weights = np.where(np.arange(ROWS) < 8, WEIGHTS, 0).astype(np.float32)
    got = again(TARGETS, scores_of(tf.constant(QUERIES), items), weights)
    assert float(got) == pytest.approx(float(want), rel=1e-5)


def test_no_target_no_loss():
    value, d_queries, d_items = value_and_gradients(
        BucketedSoftmax(3, 4, 5, seed=1), np.zeros(ROWS, np.float32)
    )
    assert value == 0
    assert not d_queries.any()
    assert not d_items.any()


def test_the_gradient_of_an_item_table_is_sparse():
    """Nothing of the optimizer's work grows with the catalogue."""
    table = tf.Variable(ITEMS)
    scores = DotProductScores(
        tf.constant(QUERIES),
        N,
        lambda ids: tf.gather(table, ids - 1),
        lambda: tf.convert_to_tensor(table),
    )
    with tf.GradientTape() as tape:
        value = BucketedSoftmax(3, 4, 5, seed=1)(tf.constant(TARGETS), scores)
    assert isinstance(tape.gradient(value, table), tf.IndexedSlices)


@pytest.mark.parametrize("name", ["num_buckets", "queries_per_bucket", "items_per_bucket"])
def test_what_it_refuses(name):
    with pytest.raises(ValueError, match=name):
        BucketedSoftmax(**{name: 0})
