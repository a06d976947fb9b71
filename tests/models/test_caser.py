"""Caser: what a state is made of, and the vectors of users."""

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.models import Caser

HISTORY = np.array([[0, 0, 4, 7, 2], [1, 2, 3, 4, 5], [0, 0, 0, 0, 9]], np.int32)
TARGET = np.array([[0, 0, 7, 2, 1], [2, 3, 4, 5, 6], [0, 0, 0, 0, 8]], np.int32)
BATCH = {
    "user_id": tf.constant([1, 2, 3]),
    "history": tf.constant(HISTORY),
    "target": tf.constant(TARGET),
}


def caser(**arguments):
    model = Caser(**{"items": 10, "dim": 8, "window": 3, "max_length": 5, "seed": 1, **arguments})
    # Freshly initialised embeddings are so small that many mistakes would hide.
    for i, variable in enumerate(model.trainable_variables):
        variable.assign_add(tf.random.stateless_normal(variable.shape, [i, 1]) * 0.3)
    return model


def test_a_state_reads_its_window_and_nothing_else():
    model = caser()
    before = model.states(HISTORY).numpy()
    for place in range(5):
        changed = HISTORY.copy()
        changed[1, place] = 10
        difference = np.abs(model.states(changed) - before).max(axis=-1)[1]
        assert np.flatnonzero(difference > 1e-4).tolist() == list(range(place, min(place + 3, 5)))


def test_the_last_state_alone_is_that_of_all():
    model = caser()
    np.testing.assert_allclose(
        model.states(HISTORY, last_only=True), model.states(HISTORY)[:, -1:], atol=1e-5
    )


@pytest.mark.parametrize("history", [[2], [0, 0, 2], [11, 2], [0, 0, 0, 0, 0, 0, 2]])
def test_padding_changes_nothing(history):
    model = caser()
    np.testing.assert_allclose(
        model.query_vectors({"history": tf.constant([history])}),
        model.query_vectors({"history": tf.constant([[0, 0, 0, 0, 2]])}),
        atol=1e-6,
    )


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_score_is_the_sum_of_two_products(tied, similarity):
    model = caser(users=3, user_dim=4, tied=tied, similarity=similarity, temperature=0.1)
    table = (model.embedding if tied else model.output_embedding).table.numpy()
    items = np.concatenate([table, model.user_item_embedding.table], axis=1)
    users = model.user_embedding.table.numpy()
    queries = np.concatenate([model.states(HISTORY)[:, -1], users], axis=1)
    if similarity == "cosine":
        items /= np.linalg.norm(items, axis=1, keepdims=True)
        queries /= np.linalg.norm(queries, axis=1, keepdims=True) * 0.1
    np.testing.assert_allclose(model.score(BATCH), queries @ items.T, rtol=1e-4, atol=1e-5)
    some = np.array([[1, 10], [5, 2], [3, 3]])
    np.testing.assert_allclose(
        model.score(BATCH, tf.constant(some)),
        np.take_along_axis(queries @ items.T, some - 1, 1),
        rtol=1e-4,
        atol=1e-5,
    )


def test_bias_is_added():
    model = caser(item_bias=True)
    plain = model.score(BATCH).numpy()
    model.item_bias.table.assign_add(tf.range(10.0)[:, tf.newaxis])
    np.testing.assert_allclose(model.score(BATCH), plain + np.arange(10), atol=1e-4)
    with pytest.raises(ValueError, match='item_bias needs similarity "dot"'):
        caser(item_bias=True, similarity="cosine")


def test_unknown_users_have_no_taste():
    model = caser(users=3)
    same = {"history": tf.constant([[4, 7, 2]] * 3)}
    scores = model.score({**same, "user_id": tf.constant([0, 4, 1])}).numpy()
    without = model.states(same["history"])[:1, -1] @ tf.transpose(model.embedding.table)
    np.testing.assert_allclose(scores[:2], np.repeat(without, 2, axis=0), atol=1e-4)
    assert np.abs(scores[2] - scores[0]).max() > 0.01


def test_no_user_vectors():
    model = caser(users=3, user_dim=0)
    assert model.num_users is None
    assert model.query_vectors(BATCH).shape == (3, 8)
    assert set(model.feature_ranks) == {"history", "target"}
    assert set(caser(users=3).feature_ranks) == {"user_id", "history", "target"}


def test_loss_is_the_mean_over_all_targets():
    model = caser(users=3, dropout=0.0)
    states = model.states(HISTORY).numpy()
    items = model.item_vectors().numpy()
    losses = []
    for row, place in zip(*np.nonzero(TARGET), strict=True):
        user = model.user_embedding.table.numpy()[row]
        logits = np.concatenate([states[row, place], user]) @ items.T
        losses.append(np.log(np.exp(logits).sum()) - logits[TARGET[row, place] - 1])
    assert float(model.compute_loss(BATCH, training=True)) == pytest.approx(
        np.mean(losses), rel=1e-5
    )
