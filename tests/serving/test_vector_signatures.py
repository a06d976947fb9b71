"""Vectors out of an export: of users and items known, and of new ones by their features."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tfrecs._keras import tf
from tfrecs.data import Categorical, FeatureTable, Numeric, Schema, Text, Tokenizer, Vocabulary
from tfrecs.models import TwoTower
from tfrecs.serving import Recommender, export

ITEMS = Vocabulary([f"film {i}" for i in range(12)])
USERS = Vocabulary([5, 900, 17, 4])
ITEM_SCHEMA = Schema(
    {
        "class": Categorical(Vocabulary(["war", "love"]), max_values=2),
        "year": Numeric("standard"),
        "title": Text(Tokenizer(["toy", "story"]), max_tokens=3),
    }
)
ITEM_FRAME = pd.DataFrame(
    {
        "class": [["war"], ["love", "war"], []] * 4,
        "year": [*np.linspace(1950, 2000, 11), np.nan],
        "title": ["Toy", "Story of", None, "Été"] * 3,
    },
    index=ITEMS.ids,
)
USER_FRAME = pd.DataFrame({"age": [20.0, 30.0, np.nan, 50.0], "job": list("abba")}, index=USERS.ids)


@pytest.fixture(scope="module")
def model():
    return TwoTower(
        ITEMS,
        USERS,
        FeatureTable.from_frame(USER_FRAME, USERS),
        FeatureTable.from_frame(ITEM_FRAME, ITEMS, ITEM_SCHEMA),
        dim=4,
        feature_dim=4,
        hidden_units=[8],
        max_length=3,
        seed=4,
    )


@pytest.fixture(scope="module")
def recommender(model, tmp_path_factory):
    return Recommender(export(model, tmp_path_factory.mktemp("vectors"), k=6))


def with_table(tower, row, values, vectors):
    """What `vectors()` gives while the table of a tower's features has these in one row."""
    columns = tower.lookup.columns
    before = {name: column.numpy() for name, column in columns.items()}
    for name, value in values.items():
        changed = before[name].copy()
        changed[row] = value
        columns[name].assign(changed)
    try:
        return vectors().numpy()
    finally:
        for name, column in columns.items():
            column.assign(before[name])


def test_known_items_need_their_id_alone(model, recommender):
    got = recommender.item_vectors(pd.DataFrame({"item_id": ["film 3", "film 11", "film 0"]}))
    np.testing.assert_allclose(got, model.item_vectors(tf.constant([4, 12, 1])), rtol=1e-5)


def test_new_items_get_vectors_from_their_features(model, recommender):
    frame = pd.DataFrame(
        {"item_id": ["new", None], "class": [["love"], None], "year": [1999, None], "title": "TOY!"}
    )
    got = recommender.item_vectors(frame)
    # As if the row of unknown ids in the model's own table held them.
    for row, values in enumerate(
        (
            {"class": [2, 0], "year": 1999, "title": [1, 0, 0]},
            {"title": [1, 0, 0]},  # nothing else is known
        )
    ):
        want = with_table(
            model.item_tower, 13, values, lambda: model.item_vectors(tf.constant([13]))
        )
        np.testing.assert_allclose(got[row : row + 1], want, rtol=1e-5)
    nothing = recommender.item_vectors(pd.DataFrame({"item_id": ["new"]}))
    assert np.abs(nothing - got[:1]).max() > 1e-3
    np.testing.assert_allclose(nothing, model.item_vectors(tf.constant([13])), rtol=1e-5)


def test_given_features_count_before_known_ones(model, recommender):
    frame = pd.DataFrame({"item_id": ["film 1"], "year": [2050.0]})
    want = with_table(
        model.item_tower, 2, {"year": 2050}, lambda: model.item_vectors(tf.constant([2]))
    )
    np.testing.assert_allclose(recommender.item_vectors(frame), want, rtol=1e-5)
    assert np.abs(want - model.item_vectors(tf.constant([2]))).max() > 1e-3


def test_vectors_of_users_known_and_new(model, recommender):
    frame = pd.DataFrame(
        {
            "user_id": [900, 77],
            "history": [["film 1", "what", "film 2"], []],
            "age": [None, 33.0],
            "job": [None, "b"],
        },
        dtype=object,
    )
    got = recommender.query_vectors(frame)
    known = {"user_id": tf.constant([2]), "history": tf.constant([[0, 2, 3]])}
    np.testing.assert_allclose(got[:1], model.query_vectors(known), rtol=1e-5)
    new = {"user_id": tf.constant([5]), "history": tf.constant([[0, 0, 0]])}
    job = model.user_tower.lookup.schema["job"].encode(pd.Series(["b"]))[0]
    want = with_table(
        model.user_tower, 5, {"age": 33.0, "job": job}, lambda: model.query_vectors(new)
    )
    np.testing.assert_allclose(got[1:], want, rtol=1e-5)


def test_their_products_are_the_scores_recommended(recommender):
    users = recommender.query_vectors(pd.DataFrame({"user_id": [17], "history": [["film 4"]]}))
    items = recommender.item_vectors(pd.DataFrame({"item_id": ITEMS.ids}))
    scores = dict(zip(ITEMS.ids, (users @ items.T)[0], strict=True))
    for item, score in recommender.recommend(["film 4"], k=6, user=17):
        assert item != "film 4"
        np.testing.assert_allclose(score, scores[item], rtol=1e-4)


def test_manifest(recommender):
    content = json.loads(
        Path(recommender.path, "assets.extra", "tfrecs_manifest.json").read_text("utf-8")
    )
    inputs = {name: list(s["inputs"]) for name, s in content["signatures"].items()}
    assert inputs == {
        "serving_default": ["history", "user_id", "exclude"],
        "score": ["history", "user_id", "candidates"],
        "query_vectors": ["history", "user_id", "age", "job"],
        "item_vectors": ["item_id", "class_", "year", "title"],
    }
    asked = [golden["signature"] for golden in content["golden"]]
    assert asked == ["serving_default", "score", "query_vectors", "item_vectors"]
    assert content["golden"][3]["inputs"]["item_id"][-1] == ""


@pytest.mark.slow
def test_a_wrong_answer_is_found_before_it_is_given_out(model, tmp_path, monkeypatch):
    from tfrecs.serving.exports import vectors as vector_signatures

    # Missing features are then not those of the table.
    monkeypatch.setattr(vector_signatures, "_is_missing", lambda encoded: encoded != encoded)
    with pytest.raises(
        ValueError, match="does not answer as TwoTower.query_vectors does, in .vector."
    ):
        export(model, tmp_path)
    assert list(tmp_path.iterdir()) == []
