"""DeepCross and RetrieveThenRank: what they compute, learn and refuse."""

import numpy as np
import pandas as pd
import pytest

import tfrecs
from tfrecs._keras import keras, tf
from tfrecs.data import Interactions, Label, Numeric, Schema, Timestamp, click_through
from tfrecs.models import DeepCross, RetrieveThenRank, TwoTower


@pytest.fixture(scope="module")
def split():
    """Users like items of their own kind, which their features tell."""
    rng = np.random.default_rng(0)
    n = 3000
    users, items = rng.integers(1, 41, n), rng.integers(1, 31, n)
    liked = (users % 2 == items % 2) ^ (rng.random(n) < 0.05)
    log = Interactions(
        {
            "user_id": users,
            "item_id": items,
            "timestamp": np.arange(n) * 1000,
            "rating": np.where(liked, 5.0, 1.0),
        },
        user_features=pd.DataFrame({"user_id": range(1, 41), "kind": [1, 0] * 20}),
        item_features=pd.DataFrame({"item_id": range(1, 31), "price": [1.0, 2.0] * 15}),
        duplicates="keep",
    )
    return click_through(log, context=Schema({"timestamp": Timestamp(("hour",))}))


def make(split, **arguments):
    return DeepCross.from_split(
        split, **{"dim": 4, "cross_layers": 1, "deep_units": [8], "seed": 1, **arguments}
    )


@pytest.mark.slow
def test_learns_crosses(split):
    model = make(split, dropout=0.0)
    model.compile(tfrecs.optimizers.Adam(0.01))
    history = model.fit(
        split.train.batch(128), epochs=8, validation_data=split.validation, verbose=0
    ).history
    assert history["val_AUC"][-1] > 0.9
    assert history["val_LogLoss"][-1] < 0.35
    assert model.examples(split.train) is split.train
    report = tfrecs.evaluate(model, split.test)
    by_hand = tfrecs.evaluation.evaluate_rows(model, split.test, train=split.train)
    assert (report.metrics, report.baselines) == (by_hand.metrics, by_hand.baselines)
    assert report.name.startswith("test, click-through: rating from 4 positive")
    assert report.metrics["AUC"] > 0.9
    assert report.baselines["items"]["AUC"] < 0.6
    assert "model" in str(report)


def test_score_is_the_row_with_the_items_features(split):
    model = make(split)
    context = {"timestamp": tf.constant([[3], [4]])}
    features = {"user_id": tf.constant([2, 5]), **context}
    items = tf.constant([[1, 7, 9], [30, 2, 31]])
    got = model.score(features, items).numpy()
    for row in range(2):
        for column in range(3):
            alone = model.logits(
                {
                    "user_id": features["user_id"][row : row + 1],
                    "item_id": items[row, column : column + 1],
                    "timestamp": context["timestamp"][row : row + 1],
                }
            )
            np.testing.assert_allclose(got[row, column], alone[0], rtol=1e-4, atol=1e-6)
    everything = model.score({"user_id": features["user_id"]})
    assert everything.shape == (2, 30)
    missing = model.score({"user_id": features["user_id"]}, items)
    np.testing.assert_allclose(missing[0, 1], everything[0, 6], rtol=1e-4, atol=1e-6)
    assert np.abs(missing[0, 0] - got[0, 0]) > 1e-7


@pytest.mark.slow
def test_rows_without_users_and_items():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=500), "b": rng.normal(size=500)})
    frame["y"] = (frame.a * frame.b > 0).astype(int)
    schema = Schema.from_frame(frame, label="y")
    rows = tfrecs.data.Rows.from_frame(frame, schema)
    model = DeepCross(schema, dim=8, deep_units=[16], dropout=0.0, seed=1)
    model.adapt(rows)
    model.compile(tfrecs.optimizers.Adam(0.01))
    model.fit(rows.batch(50), epochs=20, verbose=0)
    report = tfrecs.evaluation.evaluate_rows(model, rows)
    assert report.metrics["AUC"] > 0.9
    with pytest.raises(TypeError, match="knows no items"):
        model.score({"a": tf.zeros([1])})
    assert model.inputs_of_rows == {"a", "b"}


def test_loss_is_binary_cross_entropy_with_regularized_embeddings(split):
    rows = split.train.take(np.arange(20))
    batch = next(iter(rows.batch(20, seed=None)))
    model = make(split, dropout=0.0, embedding_regularization=0.1)
    p = model(batch).numpy().astype(np.float64)
    y = rows.labels
    want = -np.where(y > 0, np.log(p), np.log(1 - p)).mean()
    np.testing.assert_allclose(model.compute_loss(batch), want, rtol=1e-5)
    embedded = model._embedded(batch).numpy()
    want += 0.1 * (embedded**2).sum(axis=1).mean()
    np.testing.assert_allclose(model.compute_loss(batch, training=True), want, rtol=1e-5)


def test_config_round_trip(split):
    model = make(split, projection_dim=3, num_experts=2, structure="stacked")
    again = keras.utils.deserialize_keras_object(keras.utils.serialize_keras_object(model))
    again.set_weights(model.get_weights())
    features = {"user_id": tf.constant([2, 5])}
    np.testing.assert_allclose(again.score(features), model.score(features), rtol=1e-5)
    assert again.get_config() == model.get_config()


def test_refusals(split):
    with pytest.raises(ValueError, match="The context has no label"):
        DeepCross(Schema({"a": Numeric()}))
    with pytest.raises(ValueError, match="need their vocabularies"):
        DeepCross(Schema({"y": Label()}), item_features=split.item_features)


@pytest.mark.slow
def test_retrieve_then_rank(split, tmp_path):
    retriever = TwoTower(
        split.items, split.users, item_features=split.item_features, dim=4, max_length=4, seed=1
    )
    ranker = make(split)
    model = RetrieveThenRank(retriever, ranker, num_candidates=5)
    features = {
        "user_id": tf.constant([3, 41]),
        "history": tf.constant([[0, 0, 0, 7], [0, 1, 2, 3]]),
    }
    first = retriever.score(features).numpy()
    first[0, 6] = first[1, :3] = -np.inf
    candidates = np.argsort(-first, axis=1)[:, :5]
    ranked = ranker.score({"user_id": features["user_id"]}, tf.constant(candidates + 1)).numpy()
    got = model.score(features).numpy()
    np.testing.assert_allclose(np.take_along_axis(got, candidates, 1), ranked, rtol=1e-5)
    for row in range(2):
        others = np.setdiff1d(np.arange(30), candidates[row])
        assert got[row, others].max() < ranked[row].min()
        order = np.argsort(retriever.score(features).numpy()[row, others])
        assert (np.diff(got[row, others][order]) >= -1e-6).all()
    again = keras.utils.deserialize_keras_object(keras.utils.serialize_keras_object(model))
    again.set_weights(model.get_weights())
    np.testing.assert_allclose(again.score(features), got, rtol=1e-5, atol=1e-6)
    folder = tfrecs.serving.export(model, tmp_path, k=4)
    answer = tfrecs.serving.Recommender(folder).recommend([int(split.items.ids[6])], k=4, user=3)
    order = [int(split.items.ids[i]) for i in candidates[0][np.argsort(-ranked[0])]]
    assert [item for item, _ in answer] == order[:4]
    with pytest.raises(TypeError, match="train its retriever and its ranker"):
        model.compute_loss(features)
