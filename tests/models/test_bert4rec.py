"""BERT4Rec: which items it masks, what it reads, and what its loss is the mean of."""

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.models import BERT4Rec

HISTORY = np.array([[0, 0, 4, 7, 2], [1, 2, 3, 4, 5], [0, 0, 0, 0, 9]], np.int32)
TARGET = np.array([[0, 0, 7, 2, 1], [2, 3, 4, 5, 6], [0, 0, 0, 0, 8]], np.int32)
BATCH = {
    "user_id": tf.constant([1, 2, 3]),
    "history": tf.constant(HISTORY),
    "target": tf.constant(TARGET),
}
MASK = 12  # Of ten items.


def bert4rec(**arguments):
    model = BERT4Rec(**{"items": 10, "dim": 8, "max_length": 5, "seed": 1, **arguments})
    # Freshly initialised embeddings are so small that many mistakes would hide.
    for i, variable in enumerate(model.trainable_variables):
        variable.assign_add(tf.random.stateless_normal(variable.shape, [i, 1]) * 0.3)
    return model


def long_batch(rows, length):
    items = np.random.default_rng(0).integers(1, 11, size=(rows, length + 1)).astype(np.int32)
    return {"history": tf.constant(items[:, :-1]), "target": tf.constant(items[:, 1:])}


def test_outside_training_the_last_item_is_masked():
    masked = bert4rec().masked(BATCH, training=False)
    assert masked["history"].numpy().tolist() == [
        [0, 0, 4, 7, 2, MASK],
        [1, 2, 3, 4, 5, MASK],
        [0, 0, 0, 0, 9, MASK],
    ]
    assert masked["target"].numpy().tolist() == [[0] * 5 + [last] for last in (1, 6, 8)]


def test_masks_of_training():
    model = bert4rec(max_length=20, mask_probability=0.3, prefixes=0.0)
    batch = long_batch(2000, 20)
    masked = model.masked(batch, training=True)
    sequence, targets = masked["history"].numpy(), masked["target"].numpy()
    whole = np.concatenate([batch["history"].numpy(), batch["target"].numpy()[:, -1:]], axis=1)
    hidden = sequence == MASK
    np.testing.assert_array_equal(sequence[~hidden], whole[~hidden])
    np.testing.assert_array_equal(targets, np.where(hidden, whole, 0))
    assert hidden[:, -1].all()
    assert not hidden[:, 0].any()
    assert hidden[:, 1:-1].mean() == pytest.approx(0.3, abs=0.02)
    assert (hidden.sum(axis=0)[1:-1] > 500).all()
    again = model.masked(batch, training=True)["history"].numpy()
    assert (sequence != again).any()


def test_prefixes_of_training():
    model = bert4rec(max_length=20, mask_probability=0.0, prefixes=0.6)
    batch = long_batch(2000, 20)
    masked = model.masked(batch, training=True)
    sequence, targets = masked["history"].numpy(), masked["target"].numpy()
    whole = np.concatenate([batch["history"].numpy(), batch["target"].numpy()[:, -1:]], axis=1)
    lengths = (sequence > 0).sum(axis=1)
    for row, length in enumerate(lengths):
        prefix = whole[row, :length]
        assert sequence[row].tolist() == [0] * (21 - length) + prefix[:-1].tolist() + [MASK]
        assert targets[row].tolist() == [0] * 20 + [prefix[-1]]
    # A prefix of any length is as likely, the whole sequence too.
    assert (lengths < 21).mean() == pytest.approx(0.6 * 19 / 20, abs=0.03)
    counts = np.bincount(lengths, minlength=22)
    assert not counts[:2].any()
    assert counts[2:21].min() > 30


def test_padding_is_never_a_target():
    model = bert4rec(mask_probability=1.0, prefixes=0.0)
    masked = model.masked(BATCH, training=True)
    hidden = masked["history"].numpy() == MASK
    assert hidden.tolist() == (masked["target"].numpy() > 0).tolist()
    assert masked["target"].numpy()[:, 1:].tolist() == TARGET.tolist()
    cut = bert4rec(prefixes=1.0).masked(BATCH, training=True)
    assert (cut["target"].numpy() > 0).sum(axis=1).tolist() == [1, 1, 1]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("static", [True, False])
def test_loss_is_the_mean_over_masked_items(training, static):
    model, twin = (bert4rec(dropout=0.0, mask_probability=0.5) for _ in range(2))
    model.static_shapes = static
    masked = twin.masked(BATCH, training)
    sequence, targets = masked["history"].numpy(), masked["target"].numpy()
    states = twin._encode(tf.constant(sequence), False, False).numpy()
    losses = []
    for row, place in zip(*np.nonzero(targets), strict=True):
        logits = states[row, place] @ twin.embedding.table.numpy().T
        losses.append(np.log(np.exp(logits).sum()) - logits[targets[row, place] - 1])
    loss, count = model.loss_and_count(BATCH, training)
    assert float(loss) == pytest.approx(np.mean(losses), rel=1e-5)
    assert float(count) == len(losses)


def test_weights_count_at_masked_items():
    weights = tf.constant([[0.0, 0.0, 5.0, 1.0, 2.0], [3.0] * 4 + [0.5], [0.0] * 4 + [4.0]])
    loss, count = bert4rec().loss_and_count({**BATCH, "sample_weight": weights}, training=False)
    assert float(count) == 6.5
    each = [
        float(bert4rec().compute_loss({n: x[row : row + 1] for n, x in BATCH.items()}))
        for row in range(3)
    ]
    assert float(loss) == pytest.approx(np.average(each, weights=[2.0, 0.5, 4.0]), rel=1e-5)


def test_weights_stay_with_their_items():
    weights = tf.constant([[0.0, 0.0, 2.0, 3.0, 4.0]] * 3) * tf.cast(TARGET > 0, tf.float32)
    model = bert4rec(prefixes=1.0, max_length=5)
    for _ in range(5):
        masked = model.masked({**BATCH, "sample_weight": weights}, training=True)
        target, weight = masked["target"].numpy()[0, -1], masked["sample_weight"].numpy()[0, -1]
        assert weight == {7: 2.0, 2: 3.0, 1: 4.0}[target]


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_it_reads_in_both_directions(norm):
    model = bert4rec(norm=norm)
    changed = HISTORY.copy()
    changed[1, -1] = 8
    difference = np.abs(model.states(HISTORY) - model.states(changed)).max(axis=-1)
    assert (difference[1] > 1e-3).all()
    assert not difference[[0, 2]].any()


def test_padding_changes_nothing():
    model = bert4rec()
    short = model.query_vectors({"history": tf.constant([[4, 7, 2]])})
    for more in ([0, 0, 4, 7, 2], [11, 0, 4, 7, 2]):  # 11 is no known item.
        np.testing.assert_allclose(
            short, model.query_vectors({"history": tf.constant([more])}), atol=1e-5
        )


def test_only_the_most_recent_items_are_read():
    model = bert4rec(max_length=3)
    long = model.query_vectors({"history": tf.constant([[9, 9, 4, 7, 2]])})
    np.testing.assert_allclose(
        long, model.query_vectors({"history": tf.constant([[4, 7, 2]])}), atol=1e-6
    )
    assert model.masked(BATCH, training=False)["history"].shape == (3, 4)


def test_a_query_is_the_state_of_its_last_training_mask():
    model = bert4rec()
    sequence = model.masked(BATCH, training=False)["history"]
    np.testing.assert_allclose(
        model.query_vectors(BATCH), model._encode(sequence, False, False)[:, -1], atol=1e-5
    )


@pytest.mark.parametrize("argument", ["mask_probability", "prefixes"])
def test_shares_are_checked(argument):
    with pytest.raises(ValueError, match=rf"{argument} must be in \[0, 1\], not 1.5"):
        BERT4Rec(10, **{argument: 1.5})
    with pytest.raises(ValueError, match="must divide dim"):
        BERT4Rec(10, dim=8, num_heads=3)
