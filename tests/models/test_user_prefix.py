"""SASRec with a position for the features of the user."""

import numpy as np
import pandas as pd
import pytest

import tfrecs
from tfrecs._keras import tf
from tfrecs.data import FeatureTable, Interactions, Vocabulary, leave_last_out
from tfrecs.evaluation import Evaluator
from tfrecs.layers.prefix import prefixed
from tfrecs.models import SASRec
from tfrecs.serving import Recommender, export

USERS = Vocabulary(["ann", "bob", "cy"])
FRAME = pd.DataFrame({"age": [20.0, 40.0, 60.0], "city": ["x", "y", "x"]}, index=USERS.ids)
BATCH = {
    "user_id": tf.constant([1, 2]),
    "history": tf.constant([[0, 2, 3], [4, 5, 6]]),
    "target": tf.constant([[0, 3, 1], [5, 6, 2]]),
}


def made(**arguments):
    given = {"dim": 8, "max_length": 3, "user_dim": 4, "users": USERS, "dropout": 0.0, "seed": 1}
    given["user_features"] = FeatureTable.from_frame(FRAME, USERS)
    model = SASRec(6, **{**given, **arguments})
    rng = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(rng.normal(size=weight.shape) / 2)
    return model


def test_it_stands_before_the_first_item():
    x = tf.reshape(tf.range(1.0, 13.0), [3, 4, 1])
    known = tf.constant([[0, 0, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0]]) > 0
    moved, readable = prefixed(x, known, tf.constant([[-1.0], [-2.0], [-3.0]]))
    assert moved[0, 2:, 0].numpy().tolist() == [-1, 3, 4]
    assert moved[1, :, 0].numpy().tolist() == [-2, 5, 6, 7, 8]
    assert moved[2, 4, 0].numpy() == -3
    want = [[0, 0, 1, 1, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1]]
    assert tf.cast(readable, tf.int32).numpy().tolist() == want


@pytest.mark.parametrize("position", [None, "relative", "rotary"])
@pytest.mark.parametrize("block", ["sasrec", "hstu"])
def test_padding_changes_nothing(block, position):
    model = made(block=block, position=position, max_length=9)
    padding = [[0, 0], [4, 0]]
    longer = BATCH | {name: tf.pad(BATCH[name], padding) for name in ("history", "target")}
    np.testing.assert_allclose(model.query_vectors(longer), model.query_vectors(BATCH), atol=2e-5)
    losses = [float(model.compute_loss(batch)) for batch in (BATCH, longer)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_states_know_the_user_and_their_own_items_alone():
    model = made()
    states = model.states(BATCH["history"], events=BATCH)
    assert states.shape == [2, 3, 8]
    other = BATCH | {"user_id": tf.constant([1, 3])}
    moved = model.states(BATCH["history"], events=other)
    np.testing.assert_allclose(moved[0], states[0], atol=1e-6)
    assert np.abs(moved[1] - states[1]).max(axis=-1).min() > 1e-3
    later = model.states(tf.constant([[0, 2, 3], [4, 5, 1]]), events=BATCH)
    np.testing.assert_allclose(later[1, :2], states[1, :2], atol=1e-6)
    np.testing.assert_allclose(model.query_states(BATCH), states[:, -1], atol=1e-5)


def test_an_unknown_user_has_missing_values_and_a_new_one_brings_its_own():
    model = made()
    unknown = BATCH | {"user_id": tf.constant([4, 99])}
    same = BATCH | {"user_id": tf.constant([99, 4])}
    np.testing.assert_allclose(model.query_vectors(unknown), model.query_vectors(same), atol=1e-6)
    columns = model.user_tower.lookup(tf.constant([1, 2]))
    given = unknown | {f"user.{name}": column for name, column in columns.items()}
    np.testing.assert_allclose(model.query_vectors(given), model.query_vectors(BATCH), atol=1e-6)


def log():
    rng = np.random.default_rng(0)
    rows = [(u, i, 10**9 + t) for u in range(30) for t, i in enumerate(rng.permutation(12)[:6])]
    users = pd.DataFrame(
        {"user_id": range(30), "age": rng.normal(size=30), "city": ["x", "y"] * 15}
    )
    names = ["user_id", "item_id", "timestamp"]
    return Interactions(pd.DataFrame(rows, columns=names), user_features=users)


def test_report_equals_export(tmp_path):
    split = leave_last_out(log())
    model = SASRec.from_split(
        split, dim=8, num_blocks=1, max_length=4, user_dim=4, time_intervals=True, seed=1
    )
    model.compile(tfrecs.optimizers.Adam(0.02))
    model.fit(model.examples(split.train).batch(8), epochs=2, verbose=0)
    recommender = Recommender(export(model, tmp_path, k=len(split.items)))
    inputs = recommender.manifest["signatures"]["query_vectors"]["inputs"]
    assert set(inputs) == {"history", "user_id", "history_timestamp", "age", "city"}
    ranks = Evaluator(split.test).ranks(model).ranks
    found = []
    frame = log().frame
    for row, user in enumerate(split.users.ids[split.test.user_ids - 1]):
        rows = frame[frame["user_id"] == user].iloc[:-1]
        events = {"timestamp": rows["timestamp"].tolist()}
        answer = recommender.recommend(
            rows["item_id"].tolist(), len(split.items), user=user, events=events
        )
        target = split.items.ids[split.test.targets[row][0] - 1]
        found.append([item for item, _ in answer].index(target) + 1)
    np.testing.assert_array_equal(found, ranks)


def test_features_are_asked_for():
    split = leave_last_out(log())
    plain = SASRec.from_split(split, dim=8)
    assert plain.users is None
    assert "user_features" not in vars(split)  # They were not encoded.
    bare = leave_last_out(Interactions(log().frame))
    with pytest.raises(ValueError, match="user_dim is 4, and the data have no features of users"):
        SASRec.from_split(bare, user_dim=4)
    with pytest.raises(ValueError, match="user_dim needs users and their user_features"):
        SASRec(6, user_dim=4)
    with pytest.raises(ValueError, match="user_dim needs users and their user_features"):
        SASRec(6, users=USERS)
    config = made().get_config()
    copy = SASRec.from_config(config)
    copy.set_weights(made().get_weights())
    np.testing.assert_allclose(copy.query_vectors(BATCH), made().query_vectors(BATCH), atol=1e-6)


def test_attention_is_shown_for_items_alone():
    model = made(time_intervals=True, num_heads=2)
    batch = BATCH | {"history_time": tf.constant([[0, 10, 30], [5, 9, 70]], tf.int64)}
    weights = model.attention_weights(batch["history"], batch)
    assert [each.shape for each in weights] == [[2, 2, 3, 3]] * 2
    # The rest of what a position reads is the user.
    for each in weights:
        total = each.numpy().sum(axis=-1)[1]
        assert (total < 1).all()
        assert (total > 0).all()
    alone = model.attention_weights(batch["history"])
    np.testing.assert_allclose(alone[0].numpy().sum(axis=-1)[1], 1.0, rtol=1e-5)
