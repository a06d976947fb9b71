"""GRU4Rec: its recurrence, its dropouts and the vectors that it scores by."""

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.models import GRU4Rec

HISTORY = np.array([[0, 0, 4, 7, 2], [1, 2, 3, 4, 5], [0, 0, 0, 0, 9]], np.int32)
TARGET = np.array([[0, 0, 7, 2, 1], [2, 3, 4, 5, 6], [0, 0, 0, 0, 8]], np.int32)
BATCH = {
    "user_id": tf.constant([1, 2, 3]),
    "history": tf.constant(HISTORY),
    "target": tf.constant(TARGET),
}


def gru4rec(**arguments):
    model = GRU4Rec(**{"items": 10, "dim": 8, "max_length": 5, "seed": 1, **arguments})
    # Freshly initialised embeddings are so small that many mistakes would hide.
    for i, variable in enumerate(model.trainable_variables):
        variable.assign_add(tf.random.stateless_normal(variable.shape, [i, 1]) * 0.3)
    return model


@pytest.mark.parametrize("num_layers", [1, 2])
def test_no_position_sees_a_later_one(num_layers):
    model = gru4rec(num_layers=num_layers, hidden_dim=6)
    changed = HISTORY.copy()
    changed[:, -1] = [3, 8, 1]
    before, after = model.states(HISTORY).numpy(), model.states(changed).numpy()
    np.testing.assert_allclose(before[:2, :-1], after[:2, :-1], atol=1e-6)
    assert np.abs(before[:, -1] - after[:, -1]).max() > 1e-2


@pytest.mark.parametrize("history", [[4, 7, 2], [4, 11, 7, 2], [0, 0, 0, 4, 7, 2]])
def test_the_state_passes_over_padding_and_unknown_items(history):
    model = gru4rec(num_layers=2, max_length=6)
    np.testing.assert_allclose(
        model.query_vectors({"history": tf.constant([history])})[0],
        model.query_vectors(BATCH)[0],
        atol=1e-6,
    )


def test_untied_vectors_score():
    model = gru4rec(tied=False)
    expected = model.states(HISTORY)[:, -1] @ tf.transpose(model.output_embedding.table)
    np.testing.assert_allclose(model.score(BATCH), expected, atol=1e-5)
    assert np.abs(model.output_embedding.table - model.embedding.table).max() > 0.1


@pytest.mark.parametrize("argument", ["dropout", "hidden_dropout"])
def test_dropouts_in_training_alone(argument):
    none = {"dropout": 0.0, "hidden_dropout": 0.0}
    model, plain = gru4rec(**{**none, argument: 0.5}), gru4rec(**none)
    np.testing.assert_allclose(model.states(HISTORY), plain.states(HISTORY))
    first, second = (model.states(HISTORY, training=True).numpy() for _ in "ab")
    assert np.abs(first - second).max() > 0.01
    np.testing.assert_allclose(plain.states(HISTORY, training=True), plain.states(HISTORY))


def test_loss_is_the_mean_over_all_targets():
    model = gru4rec(dropout=0.0)
    states, table = model.states(HISTORY).numpy(), model.embedding.table.numpy()
    losses = []
    for row, place in zip(*np.nonzero(TARGET), strict=True):
        logits = states[row, place] @ table.T
        losses.append(np.log(np.exp(logits).sum()) - logits[TARGET[row, place] - 1])
    assert float(model.compute_loss(BATCH, training=True)) == pytest.approx(
        np.mean(losses), rel=1e-5
    )
