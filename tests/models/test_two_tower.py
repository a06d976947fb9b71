"""TwoTower: what it computes, learns and refuses."""

import numpy as np
import pandas as pd
import pytest

import tfrecs
from tfrecs._keras import keras, tf
from tfrecs.data import FeatureTable, Vocabulary
from tfrecs.models import TwoTower

ITEMS = Vocabulary([f"i{n}" for n in range(1, 13)])
USERS = Vocabulary([f"u{n}" for n in range(1, 7)])
ITEM_FRAME = pd.DataFrame({"price": np.arange(12.0)}, index=ITEMS.ids)
USER_FRAME = pd.DataFrame({"age": np.arange(6.0) + 20}, index=USERS.ids)
BATCH = {
    "user_id": tf.constant([1, 6, 7]),
    "history": tf.constant([[0, 3, 5], [0, 0, 0], [1, 2, 12]]),
    "item_id": tf.constant([4, 9, 9]),
}


def make(**arguments):
    return TwoTower(
        ITEMS,
        **{
            "users": USERS,
            "user_features": FeatureTable.from_frame(USER_FRAME, USERS),
            "item_features": FeatureTable.from_frame(ITEM_FRAME, ITEMS),
            "dim": 4,
            "feature_dim": 3,
            "hidden_units": [32],
            "max_length": 3,
            "seed": 2,
            **arguments,
        },
    )


@pytest.mark.parametrize("pooling", [None, "mean", "recency", "attention", "long_short"])
def test_score_is_the_product_of_unit_vectors_over_the_temperature(pooling):
    model = make(pooling=pooling, temperature=0.1)
    queries, items = model.query_vectors(BATCH).numpy(), model.item_vectors().numpy()
    np.testing.assert_allclose(np.linalg.norm(queries, axis=1), 10, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(items, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(model.score(BATCH), queries @ items.T, rtol=1e-5)
    some = model.score(BATCH, tf.constant([[1, 12], [3, 3], [5, 2]])).numpy()
    want = np.take_along_axis(queries @ items.T, np.array([[0, 11], [2, 2], [4, 1]]), 1)
    np.testing.assert_allclose(some, want, rtol=1e-5, atol=1e-6)
    assert model.max_history == (None if pooling is None else 3)


def test_the_history_is_pooled_from_the_item_towers_vectors():
    model = make(pooling="mean", users=None, user_features=None, similarity="dot")
    items = model.item_vectors().numpy()
    want = [items[[2, 4]].mean(axis=0), np.zeros(4), items[[0, 1, 11]].mean(axis=0)]
    np.testing.assert_allclose(model.query_vectors(BATCH), want, rtol=1e-5, atol=1e-6)


def test_loss_of_a_small_and_a_large_catalogue_is_the_same(monkeypatch):
    loss = tfrecs.losses.SampledSoftmax(6, seed=1)
    values = []
    for limit in (20_000, 0):
        monkeypatch.setattr("tfrecs.models.two_tower._SMALL_CATALOGUE", limit)
        model = make(dropout=0.0, id_dropout=0.0, loss=type(loss).from_config(loss.get_config()))
        with tf.GradientTape() as tape:
            value = model.compute_loss(BATCH, training=True)
        gradients = tape.gradient(value, model.trainable_variables)
        assert all(gradient is not None for gradient in gradients)
        values.append([value, *map(tf.convert_to_tensor, gradients)])
    for a, b in zip(*values, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_full_softmax_by_hand():
    model = make(dropout=0.0, id_dropout=0.0)
    scores = model.score(BATCH).numpy().astype(np.float64)
    picked = scores[np.arange(3), [3, 8, 8]]
    want = (np.log(np.exp(scores).sum(axis=1)) - picked).mean()
    np.testing.assert_allclose(model.compute_loss(BATCH, training=True), want, rtol=1e-5)


def test_config_round_trip_keeps_features_in_weights():
    model = make()
    config = keras.utils.serialize_keras_object(model)
    again = keras.utils.deserialize_keras_object(config)
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(again.score(BATCH), model.score(BATCH), rtol=1e-6)
    assert again.get_config() == model.get_config()


def test_from_split_takes_the_features_of_the_log():
    log = tfrecs.data.Interactions(
        {"user_id": [1, 1, 1, 2, 2, 2], "item_id": [1, 2, 3, 1, 3, 2]},
        item_features=pd.DataFrame({"item_id": [1, 2, 3], "price": [1.0, 2.0, 3.0]}),
    )
    model = TwoTower.from_split(tfrecs.data.leave_last_out(log), dim=4, seed=1)
    assert list(model.item_tower.lookup.columns) == ["price"]
    assert model.user_tower.lookup is None
    plain = TwoTower.from_split(tfrecs.data.leave_last_out(log), dim=4, item_features=None)
    assert plain.item_tower.lookup is None
    vectors = plain.user_vectors(np.array([1, 2]), np.array([[1, 2], [0, 1]]))
    assert vectors.shape == (2, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"users": None}, "user_features need the users"),
        ({"users": None, "user_features": None, "pooling": None}, "nothing to know a user by"),
        ({"similarity": "l2"}, "similarity must be dot, cosine or lorentz"),
        ({"temperature": 0}, "temperature must be positive"),
        ({"pooling": "newest"}, "mode must be one of mean, recency, attention"),
        ({"max_length": 0}, "max_length must be at least 1"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make(**arguments)
