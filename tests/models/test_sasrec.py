"""SASRec: what it reads, what it must not read, and that it learns."""

import numpy as np
import pytest

from tfrecs._keras import keras, tf
from tfrecs.data import Histories, TrainSet
from tfrecs.losses import GBCE, BinaryCrossEntropy, FullSoftmax, SampledSoftmax
from tfrecs.models import SASRec

HISTORY = np.array([[0, 0, 4, 7, 2], [1, 2, 3, 4, 5], [0, 0, 0, 0, 9]], np.int32)
TARGET = np.array([[0, 0, 7, 2, 1], [2, 3, 4, 5, 6], [0, 0, 0, 0, 8]], np.int32)
BATCH = {
    "user_id": tf.constant([1, 2, 3]),
    "history": tf.constant(HISTORY),
    "target": tf.constant(TARGET),
}


def sasrec(**arguments):
    arguments = {"items": 10, "dim": 8, "max_length": 5, "seed": 1, **arguments}
    model = SASRec(**arguments)
    # Freshly initialised embeddings are so small that many mistakes would hide.
    for i, variable in enumerate(model.trainable_variables):
        variable.assign_add(tf.random.stateless_normal(variable.shape, [i, 1]) * 0.3)
    return model


@pytest.mark.parametrize("norm", ["paper", "pre", "post"])
def test_no_position_sees_a_later_one(norm):
    model = sasrec(norm=norm)
    changed = HISTORY.copy()
    changed[:, -1] = [3, 8, 1]
    before, after = model.states(HISTORY).numpy(), model.states(changed).numpy()
    np.testing.assert_allclose(before[:2, :-1], after[:2, :-1], atol=1e-6)
    assert np.abs(before[:, -1] - after[:, -1]).max() > 1e-2


@pytest.mark.parametrize("norm", ["paper", "pre", "post"])
def test_the_last_state_alone_is_that_of_all(norm):
    model = sasrec(norm=norm)
    last = model.states(HISTORY, last_only=True)
    np.testing.assert_allclose(last, model.states(HISTORY)[:, -1:], atol=1e-5)
    np.testing.assert_allclose(last[:, 0], model.query_vectors(BATCH), atol=1e-6)


BLOCKS = [
    {"block": "ligr", "position": "relative", "num_heads": 2},
    {"block": "hstu", "position": "relative", "absolute_positions": False},
    {"block": "sasrec", "position": "rotary", "filter_size": 2},
]


@pytest.mark.parametrize("arguments", BLOCKS)
def test_blocks_see_no_later_position_and_no_padding(arguments):
    model = sasrec(**arguments)
    changed = HISTORY.copy()
    changed[:, -1] = [3, 8, 1]
    before, after = model.states(HISTORY).numpy(), model.states(changed).numpy()
    np.testing.assert_allclose(before[:2, :-1], after[:2, :-1], atol=1e-5)
    assert np.abs(before[:, -1] - after[:, -1]).max() > 1e-2
    np.testing.assert_allclose(before[:, -1], model.query_vectors(BATCH), atol=1e-4)
    short = model.query_vectors({"history": tf.constant([[4, 7, 2]])})
    np.testing.assert_allclose(short[0], before[0, -1], atol=1e-4)


@pytest.mark.parametrize("arguments", [{"norm": n} for n in ("paper", "pre", "post")] + BLOCKS)
def test_attention_weights_show_what_is_read(arguments):
    model = sasrec(**arguments)
    weights = [w.numpy() for w in model.attention_weights(tf.constant(HISTORY))]
    heads = arguments.get("num_heads", 1)
    assert [w.shape for w in weights] == [(3, heads, 5, 5)] * 2
    for w in weights:
        assert not np.triu(w, 1).any()  # Nothing later is read,
        assert not w[0, :, 2:, :2].any()  # nor padding.
        if arguments.get("block") != "hstu":
            np.testing.assert_allclose(w.sum(axis=-1), 1, rtol=1e-5)
    # The last position's state follows from what the weights weigh.
    assert np.abs(weights[0][1, :, -1]).min() > 0


def test_blocks_are_of_their_kind():
    kinds = {block: type(sasrec(block=block).blocks[0]).__name__ for block in ("sasrec", "ligr")}
    assert kinds == {"sasrec": "SASRecBlock", "ligr": "LiGRBlock"}
    hstu = sasrec(block="hstu", absolute_positions=False, position="rotary")
    assert type(hstu.blocks[0]).__name__ == "HSTUBlock"
    assert hstu.positions is None
    assert hstu.blocks[0].position == "rotary"
    assert hstu.blocks[0].max_distance == 5


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"block": "gru"}, "block must be one of sasrec, ligr, hstu, not 'gru'"),
        ({"block": "hstu", "hidden_dim": 8}, 'block "hstu" has no use for hidden_dim'),
        ({"block": "hstu", "filter_size": 8}, 'block "hstu" has no use for filter_size'),
        ({"block": "ligr", "norm": "pre"}, 'block "ligr" has no use for norm'),
        ({"position": "both"}, "position must be relative or rotary or None, not 'both'"),
    ],
)
def test_wrong_blocks_are_named(arguments, error):
    with pytest.raises(ValueError, match=error):
        SASRec(10, **arguments)


def test_padding_changes_nothing():
    model = sasrec()
    short = model.query_vectors({"history": tf.constant([[4, 7, 2]])})
    long = model.query_vectors({"history": tf.constant([[0, 0, 4, 7, 2]])})
    np.testing.assert_allclose(short, long, atol=1e-5)


def test_only_the_most_recent_items_are_read():
    model = sasrec(max_length=3)
    long = model.query_vectors({"history": tf.constant([[9, 9, 4, 7, 2]])})
    np.testing.assert_allclose(
        long, model.query_vectors({"history": tf.constant([[4, 7, 2]])}), atol=1e-6
    )


def test_order_and_early_items_matter():
    model = sasrec()
    vectors = [
        model.query_vectors({"history": tf.constant([row])}).numpy()
        for row in ([4, 7, 2], [7, 4, 2], [5, 7, 2])
    ]
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    assert np.abs(vectors[0] - vectors[2]).max() > 1e-3


def test_unknown_items_are_padding():
    model = sasrec()
    a = model.query_vectors({"history": tf.constant([[11, 4, 7]])})
    b = model.query_vectors({"history": tf.constant([[0, 4, 7]])})
    np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("similarity", ["dot", "cosine", "lorentz"])
def test_score_is_the_product(tied, similarity):
    model = sasrec(tied=tied, similarity=similarity, temperature=0.1)
    table = (model.embedding if tied else model.output_embedding).table.numpy()
    state = model.states(HISTORY)[:, -1].numpy()
    if similarity == "cosine":
        table = table / np.linalg.norm(table, axis=1, keepdims=True)
        state = state / np.linalg.norm(state, axis=1, keepdims=True) / 0.1
    expected = state @ table.T
    if similarity == "lorentz":
        heights = [np.sqrt(1 + np.square(x).sum(1)) for x in (state, table)]
        difference = state[:, np.newaxis] - table
        expected = np.square(np.subtract.outer(*heights)) - np.square(difference).sum(2)
        expected /= 0.1
    scores = model.score({"history": tf.constant(HISTORY)})
    np.testing.assert_allclose(scores, expected, atol=2e-5)
    np.testing.assert_allclose(model({"history": tf.constant(HISTORY)}), expected, atol=2e-5)
    some = np.array([[1, 10], [5, 2], [3, 3]])
    np.testing.assert_allclose(
        model.score({"history": tf.constant(HISTORY)}, tf.constant(some)),
        np.take_along_axis(expected, some - 1, 1),
        atol=2e-5,
    )


def test_loss_is_the_mean_over_all_targets():
    model = sasrec(loss=FullSoftmax())
    states = model.states(HISTORY).numpy()
    losses = []
    for b, t in zip(*np.nonzero(TARGET), strict=True):
        logits = states[b, t] @ model.embedding.table.numpy().T
        losses.append(np.log(np.exp(logits).sum()) - logits[TARGET[b, t] - 1])
    assert float(model.compute_loss(BATCH)) == pytest.approx(np.mean(losses), rel=1e-5)
    assert float(model.target_count(BATCH)) == len(losses)


@pytest.mark.parametrize("loss", [FullSoftmax(), SampledSoftmax(4, seed=1)])
def test_static_shapes_give_the_same_loss(loss):
    models = [sasrec(loss=type(loss).from_config(loss.get_config()), dropout=0.0) for _ in "ab"]
    models[1].static_shapes = True
    values = []
    for model in models:
        with tf.GradientTape() as tape:
            value = model.compute_loss(BATCH, training=True)
        gradients = tape.gradient(value, model.trainable_variables)
        values.append([value, *map(tf.convert_to_tensor, gradients)])
    for a, b in zip(*values, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_position_counts_from_the_end():
    model = sasrec(num_blocks=1)
    gradient_rows = []
    for history in ([[4]], [[4, 7]]):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model.query_vectors({"history": tf.constant(history)}) ** 2)
        gradient = tf.convert_to_tensor(tape.gradient(loss, model.positions)).numpy()
        gradient_rows.append(np.flatnonzero(np.abs(gradient).sum(1)).tolist())
    assert gradient_rows == [[4], [3, 4]]


def cycle_users(num_items, users, length):
    """Users who walk round a circle of items: the next item follows from the last."""
    starts = np.arange(users) % num_items
    return [[int((s + t) % num_items) + 1 for t in range(length)] for s in starts]


@pytest.mark.parametrize(
    "loss",
    [
        # Quick: test_withheld.py.
        pytest.param(FullSoftmax(), marks=pytest.mark.slow),
        pytest.param(SampledSoftmax(8, seed=1), marks=pytest.mark.slow),
        pytest.param(BinaryCrossEntropy(4, seed=1), marks=pytest.mark.slow),
        pytest.param(GBCE(8, seed=1), marks=pytest.mark.slow),
        pytest.param(SampledSoftmax(8, shared=False, seed=1), marks=pytest.mark.slow),
    ],
    ids=lambda loss: type(loss).__name__,
)
def test_learns_what_comes_next(loss):
    train = TrainSet(Histories.from_lists(cycle_users(12, 48, 8)), np.arange(1, 49), 12)
    model = SASRec(12, dim=16, num_blocks=1, max_length=8, dropout=0.1, loss=loss, seed=1)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    model.fit(train.sequences(8).batch(16), epochs=25, verbose=0)
    histories = np.array([[i + 1, (i + 1) % 12 + 1, (i + 2) % 12 + 1] for i in range(12)])
    best = model.score({"history": tf.constant(histories)}).numpy().argmax(1) + 1
    assert best.tolist() == [(i + 3) % 12 + 1 for i in range(12)]


# Quick: a run that is repeated, or goes on, in tests/training.
@pytest.mark.slow
def test_same_seed_same_weights():
    def train():
        train_set = TrainSet(Histories.from_lists(cycle_users(12, 30, 6)), np.arange(1, 31), 12)
        loss = SampledSoftmax(4, seed=2)
        model = SASRec(12, dim=8, num_blocks=1, max_length=6, loss=loss, seed=5)
        model.compile(optimizer="adam")
        model.fit(train_set.sequences(6).batch(8, seed=5), epochs=2, verbose=0)
        return model.get_weights()

    for a, b in zip(train(), train(), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 0}, "at least 1"),
        ({"items": 0}, "at least one item"),
        ({"num_heads": 3}, r"num_heads \(3\) must divide"),
        ({"norm": "rms"}, "norm must be one of"),
        ({"similarity": "l2"}, "similarity must be dot, cosine or lorentz"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"dropout": 1.0}, "Dropout's rate"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        SASRec(**{"items": 10, "dim": 8, **arguments})
