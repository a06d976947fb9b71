"""Sequence models whose item vectors have features in them."""

import numpy as np
import pandas as pd
import pytest

import tfrecs
from tfrecs._keras import tf
from tfrecs.data import FeatureTable, Interactions, Vocabulary, leave_last_out
from tfrecs.models import BERT4Rec, Caser, GRU4Rec, SASRec

MODELS = [SASRec, GRU4Rec, BERT4Rec, Caser]
ITEMS = Vocabulary(range(1, 7))
FRAME = pd.DataFrame(
    {"genre": ["a", "b", "a", "c", "b", None], "price": [1.0, 2.0, 3.0, 4.0, np.nan, 6.0]},
    index=range(1, 7),
)
HISTORY = tf.constant([[0, 2, 3], [4, 5, 6]])


def log(frame=FRAME, users=8):
    rng = np.random.default_rng(0)
    rows = [(u, int(i)) for u in range(users) for i in rng.permutation(6)[:5] + 1]
    users, items = zip(*rows, strict=True)
    given = pd.DataFrame({"user_id": users, "item_id": items})
    features = None if frame is None else frame.rename_axis("item_id").reset_index()
    return Interactions(given, item_features=features)


def made(model, **arguments):
    features = FeatureTable.from_frame(FRAME, ITEMS)
    given = {"dim": 8, "max_length": 3, "feature_dim": 4, "seed": 1, **arguments}
    return model(ITEMS, item_features=features, **given)


@pytest.mark.parametrize("model", MODELS)
def test_a_vector_is_that_of_the_id_and_of_the_features(model):
    model = made(model)
    layer = model.embedding
    columns = layer.lookup(tf.range(1, 7))
    expected = layer.table + layer.encoder(columns) @ layer.projection.kernel
    np.testing.assert_allclose(model.item_vectors(), expected, rtol=1e-5)
    np.testing.assert_allclose(
        model.item_vectors(tf.constant([[2, 5]])), expected.numpy()[np.array([[1, 4]])], rtol=1e-5
    )
    np.testing.assert_allclose(layer(HISTORY)[1], expected[3:], rtol=1e-5)
    assert not layer(HISTORY)[0, 0].numpy().any()


@pytest.mark.parametrize("model", MODELS)
def test_a_model_from_its_config_takes_the_weights(model):
    model = made(model)
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    np.testing.assert_array_equal(copy.item_vectors(), model.item_vectors())


@pytest.mark.parametrize("model", MODELS)
def test_features_learn(model):
    model = made(model)
    batch = {
        "user_id": tf.constant([1, 2]),
        "history": HISTORY,
        "target": tf.constant([[0, 3, 1], [5, 6, 2]]),
    }
    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch, training=True)
    gradient = tape.gradient(loss, model.embedding.projection.kernel)
    assert np.abs(gradient).max() > 0


def test_a_new_item_has_the_vector_of_its_features():
    model = made(SASRec)
    layer = model.embedding
    given = {name: column[:1] for name, column in layer.lookup(tf.constant([3])).items()}
    vector = model.item_vectors(tf.constant([7]), features=given)
    np.testing.assert_allclose(vector[0], model.item_vectors()[2] - layer.table[2], atol=1e-6)
    stored = model.item_vectors(tf.constant([7]))
    assert np.abs(stored - vector).max() > 1e-6


def test_untied_vectors_have_features_too():
    model = made(SASRec, tied=False)
    layer = model.output_embedding
    added = layer.encoder(layer.lookup(tf.range(1, 7))) @ layer.projection.kernel
    np.testing.assert_allclose(model.item_vectors(), layer.table + added, rtol=1e-5)


def test_features_are_asked_for():
    split = leave_last_out(log())
    plain = SASRec.from_split(split, dim=8)
    assert plain.item_features is None
    assert plain.feature_lookups == (None, None)
    assert "item_features" not in vars(split)  # They were not encoded.
    model = SASRec.from_split(split, dim=8, feature_dim=4)
    assert set(model.feature_lookups[1].schema) == {"genre", "price"}
    with pytest.raises(ValueError, match="feature_dim is 4, and the data have no features of it"):
        SASRec.from_split(leave_last_out(log(None)), feature_dim=4)


def test_a_grown_model_keeps_what_features_taught():
    first = log()
    old = leave_last_out(first)
    model = SASRec.from_split(old, dim=8, feature_dim=4, seed=1)
    more = pd.DataFrame({"user_id": [0, 1, 2], "item_id": [7, 7, 7]})
    frame = pd.concat([FRAME, pd.DataFrame({"genre": ["c"], "price": [2.0]}, index=[7])])
    both = pd.concat([first.frame[["user_id", "item_id"]], more])
    longer = Interactions(both, item_features=frame.rename_axis("item_id").reset_index())
    split = leave_last_out(longer.continuing(old.users, old.items))
    grown = model.grown(split)
    assert grown.num_items == 7
    np.testing.assert_allclose(grown.item_vectors()[:6], model.item_vectors(), atol=1e-5)
    np.testing.assert_allclose(grown.embedding.projection.kernel, model.embedding.projection.kernel)


@pytest.mark.parametrize("model", [SASRec, Caser])
def test_an_export_answers_for_new_items(model, tmp_path):
    model = made(model, similarity="cosine")
    tfrecs.serving.export(model, tmp_path / "export")
    tfrecs.serving.verify(tmp_path / "export")
    loaded = tf.saved_model.load(str(tmp_path / "export" / "1"))
    answer = loaded.signatures["item_vectors"](
        item_id=tf.constant([99], tf.int64),
        genre=tf.constant(["a"]),
        price=tf.constant([3.0]),
    )["vector"]
    encoded = model.embedding.lookup(tf.constant([3]))
    expected = model.item_vectors(tf.constant([7]), features=encoded)
    np.testing.assert_allclose(answer, expected, atol=1e-5)
