"""Sequence models that read what a log tells of events beside their items."""

import numpy as np
import pandas as pd
import pytest

import tfrecs
from tfrecs._keras import tf
from tfrecs.data import Categorical, Interactions, Schema, Vocabulary, leave_last_out
from tfrecs.models import BERT4Rec, Caser, GRU4Rec, SASRec

MODELS = [SASRec, GRU4Rec, BERT4Rec, Caser]
RATING = Schema({"rating": Categorical(Vocabulary([1, 2, 3]))})
HISTORY = tf.constant([[0, 2, 3], [4, 5, 6]])
BATCH = {
    "user_id": tf.constant([1, 2]),
    "history": HISTORY,
    "target": tf.constant([[0, 3, 1], [5, 6, 2]]),
    "history.rating": tf.constant([[0, 1, 4], [2, 0, 3]]),
}


def made(model, **arguments):
    given = {"dim": 8, "max_length": 3, "event_schema": RATING, "dropout": 0.0, "seed": 1}
    return model(6, **{**given, **arguments})


def log(seed=0, users=40):
    rng = np.random.default_rng(seed)
    rows = [
        (user, int(item), float(rng.normal()), rng.choice(["tv", "web"]), 10**9 + int(t))
        for user in range(users)
        for item, t in zip(rng.permutation(12)[:7], np.sort(rng.integers(0, 10**6, 7)), strict=True)
    ]
    names = ["user_id", "item_id", "price", "device", "timestamp"]
    return Interactions(pd.DataFrame(rows, columns=names))


@pytest.mark.parametrize("model", MODELS)
def test_the_projection_of_an_event_is_added_to_its_item(model):
    model = made(model)
    layer = model.event_embedding
    known = HISTORY > 0
    got = model.embed(HISTORY, known, BATCH).numpy()
    table = layer.encoder({"rating": tf.range(5)}).numpy() @ layer.projection.kernel.numpy()
    want = model.embedding(HISTORY).numpy() + table[BATCH["history.rating"]]
    want[0, 0] = 0  # Padding has nothing.
    np.testing.assert_allclose(got, want, atol=1e-6)
    assert np.abs(table).max() > 1e-3


@pytest.mark.parametrize("model", MODELS)
def test_events_are_read_and_learned_from(model):
    model = made(model)
    model.event_embedding.projection.kernel.assign(model.event_embedding.projection.kernel * 30)
    other = {**BATCH, "history.rating": tf.constant([[0, 1, 1], [2, 0, 1]])}
    assert np.abs(model.query_vectors(BATCH) - model.query_vectors(other)).max(axis=1).min() > 1e-4
    padding = {**BATCH, "history.rating": tf.constant([[3, 1, 4], [2, 0, 3]])}
    np.testing.assert_array_equal(model.query_vectors(BATCH), model.query_vectors(padding))
    with tf.GradientTape() as tape:
        loss = model.compute_loss(BATCH, training=True)
    gradient = tape.gradient(loss, model.event_embedding.projection.kernel)
    assert np.abs(gradient).max() > 0


@pytest.mark.parametrize("model", MODELS)
def test_what_is_before_the_last_items_is_not_read(model):
    model = made(model)
    longer = {
        "user_id": BATCH["user_id"],
        "history": tf.pad(HISTORY, [[0, 0], [2, 0]], constant_values=5),
        "history.rating": tf.pad(BATCH["history.rating"], [[0, 0], [2, 0]], constant_values=2),
    }
    longer["history"] = tf.where(tf.range(5) == 2, HISTORY[:, :1], longer["history"])
    np.testing.assert_allclose(model.query_vectors(longer), model.query_vectors(BATCH), atol=1e-6)


def test_a_mask_has_no_event():
    model = made(BERT4Rec, mask_probability=1.0, prefixes=0.0)
    masked = model.masked(BATCH, training=True)
    assert masked["history.rating"].numpy().tolist() == [[0, 1, 4, 0], [2, 0, 3, 0]]
    known = masked["history"] <= 6
    without = model.embed(masked["history"], known & (masked["history"] > 0), masked)
    # All but the first item of each sequence is masked, and has the mask's vector alone.
    assert (masked["history"].numpy()[:, 2:] == model.mask_id).all()
    assert not without[:, 2:].numpy().any()


def test_events_move_with_the_items_that_are_cut():
    model = made(BERT4Rec, prefixes=1.0)
    ids = {2: 1, 3: 4, 4: 2, 5: 0, 6: 3}  # The rating that stands beside each item.
    for _ in range(5):
        masked = model.masked(BATCH, training=True)
        pairs = zip(
            masked["history"].numpy().ravel(), masked["history.rating"].numpy().ravel(), strict=True
        )
        for item, rating in pairs:
            assert item in (0, model.mask_id) or ids[item] == rating


def test_bert4rec_trains_on_the_query_that_it_answers():
    model = made(BERT4Rec)
    masked = model.masked(BATCH, training=False)
    state = model._encode(masked["history"], False, False, masked)[:, -1]
    np.testing.assert_allclose(model.query_vectors(BATCH), state, atol=1e-5)


@pytest.mark.parametrize(
    "model", [SASRec, *(pytest.param(model, marks=pytest.mark.slow) for model in MODELS[1:])]
)
def test_numbers_categories_and_times_of_a_log_are_learned(model):
    split = leave_last_out(log())
    model = model.from_split(
        split, dim=8, max_length=4, event_features=["price", "device", "timestamp"], seed=1
    )
    assert list(model.event_schema) == ["price", "device", "timestamp"]
    model.compile("adam")
    batches = model.examples(split.train).batch(8)
    losses = model.fit(batches, epochs=2, validation_data=split.validation, verbose=0).history
    assert np.isfinite(losses["loss"]).all()
    assert np.isfinite(tfrecs.evaluate(model, split.test).metrics["NDCG@10"])
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    batch = next(iter(batches))
    np.testing.assert_allclose(copy.query_vectors(batch), model.query_vectors(batch), atol=1e-6)


def test_a_signal_in_events_alone_is_found():
    """The device of the last event says which of two items is next; the items say nothing."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(200):
        time = 0
        for _ in range(4):
            device = int(rng.integers(2))
            for item, on in ((0, device), (1 + device, 0)):
                rows.append((user, item, "ab"[on], time := time + 1))
    names = ["user_id", "item_id", "device", "timestamp"]
    split = leave_last_out(Interactions(pd.DataFrame(rows, columns=names)))
    split = split.with_recommend_known()
    found = {}
    for features in (None, ["device"]):
        model = SASRec.from_split(
            split,
            dim=16,
            num_blocks=1,
            max_length=8,
            event_features=features,
            dropout=0.0,
            seed=1,
        )
        model.compile(tfrecs.optimizers.Adam(0.01))
        model.fit(model.examples(split.train).batch(32), epochs=4, verbose=0)
        found[bool(features)] = tfrecs.evaluate(model, split.test, ks=(1,)).metrics["HR@1"]
    assert found[True] > 0.95
    assert found[False] < 0.7


def test_the_time_of_the_request_ends_the_intervals():
    model = made(
        SASRec,
        event_schema=None,
        absolute_positions=False,
        time_intervals=True,
        request_time=True,
    )
    batch = {
        "history": HISTORY,
        "target": BATCH["target"],
        "history_time": tf.constant([[0, 10, 30], [5, 9, 70]], tf.int64),
        "request_time": tf.constant([100, 80], tf.int64),
    }
    asked, then = model._times(HISTORY, batch)
    assert asked.numpy().tolist() == [[10, 30, 100], [9, 70, 80]]
    assert then is batch["history_time"]
    for block in model.blocks:
        (table,) = (v for v in block.trainable_variables if v.shape == [33, 1])
        table.assign(np.random.default_rng(1).normal(size=[33, 1]))
    later = {**batch, "request_time": batch["request_time"] + 10**6}
    states, moved = (model.states(HISTORY, events=b).numpy() for b in (batch, later))
    np.testing.assert_allclose(states[:, :-1], moved[:, :-1], atol=1e-6)
    assert np.abs(states[:, -1] - moved[:, -1]).max() > 1e-3
    # A prefix as it is asked for: its next event is the request.
    prefix = {
        "history": HISTORY[:, :-1],
        "history_time": batch["history_time"][:, :-1],
        "request_time": batch["history_time"][:, -1],
    }
    np.testing.assert_allclose(model.query_states(prefix)[1], states[1, -2], atol=1e-5)


def test_intervals_without_the_request_are_between_events():
    model = made(SASRec, event_schema=None, time_intervals=True, block="hstu")
    batch = {"history": HISTORY, "history_time": tf.constant([[0, 10, 30], [5, 9, 70]], tf.int64)}
    asked, then = model._times(HISTORY, batch)
    assert asked is then is batch["history_time"]
    assert set(model.feature_ranks) == {"history", "target", "history_time"}


def test_a_grown_model_keeps_what_events_taught():
    first = log()
    old = leave_last_out(first)
    model = SASRec.from_split(old, dim=8, event_features=["price", "device"], seed=1)
    more = pd.DataFrame(
        {
            "user_id": [0, 1],
            "item_id": [77, 77],
            "timestamp": [2 * 10**9] * 2,
            "device": ["car"] * 2,
        }
    )
    both = pd.concat([first.frame, more])
    split = leave_last_out(Interactions(both).continuing(old.users, old.items))
    grown = model.grown(split)
    assert grown.num_items == 13
    assert grown.event_schema == model.event_schema
    kernels = (m.event_embedding.projection.kernel for m in (grown, model))
    np.testing.assert_array_equal(*kernels)
    batch = next(iter(model.examples(old.train).batch(4)))
    np.testing.assert_allclose(grown.query_vectors(batch), model.query_vectors(batch), atol=1e-6)


@pytest.mark.slow
def test_hard_negatives_are_mined_with_events():
    split = leave_last_out(log())
    negatives = tfrecs.negatives.Mined(3, len(split.users), len(split.items), num_mined=4, seed=1)
    model = SASRec.from_split(
        split,
        dim=8,
        event_features=["device"],
        time_intervals=True,
        request_time=True,
        loss=tfrecs.losses.SampledSoftmax(negatives=negatives),
    )
    tfrecs.negatives.HardNegativeMining(negatives, split.train).mine(model)
    model.compile("adam")
    history = model.fit(model.examples(split.train).batch(16), verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match="name columns of a log: make the model by SASRec.from_sp"):
        SASRec(6, event_features=["rating"])
    with pytest.raises(ValueError, match="The event_schema has no column 'price'"):
        SASRec(6, event_features=["price"], event_schema=RATING)
    with pytest.raises(ValueError, match="request_time is the end of time_intervals"):
        SASRec(6, request_time=True)
    bare = leave_last_out(Interactions({"user_id": [1] * 4, "item_id": [1, 2, 3, 4]}))
    with pytest.raises(ValueError, match="event_features are .'rating'., and the data have no col"):
        SASRec.from_split(bare, event_features=["rating"])
    with pytest.raises(ValueError, match="no column 'rating' beside user and item, only 'times"):
        SASRec.from_split(leave_last_out(log()), event_features=["rating"])
    model = made(SASRec)
    with pytest.raises(
        ValueError, match="SASRec reads 'history.rating' beside \"history\", and th"
    ):
        model.query_vectors({"history": HISTORY})
    model.compile("adam")
    with pytest.raises(ValueError, match="without 'history.rating'"):
        model.fit({name: BATCH[name] for name in ("user_id", "history", "target")}, verbose=0)
