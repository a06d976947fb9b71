"""Every public model is exported, with all its signatures, and the export is what it says."""

import numpy as np
import pandas as pd
import pytest

import tfrecs
from tfrecs._keras import tf
from tfrecs.data import Categorical, Label, Schema, Vocabulary
from tfrecs.serving import Recommender, export, verify

LOWEST = np.finfo(np.float32).min
ITEMS, USERS = Vocabulary([f"film {i}" for i in range(12)]), Vocabulary(range(1, 6))
CONTEXT = Schema({"device": Categorical(Vocabulary(["tv", "web"])), "liked": Label()})


def deep_cross():
    return tfrecs.models.DeepCross(
        CONTEXT, ITEMS, USERS, dim=4, cross_layers=1, deep_units=[4], seed=1
    )


def two_tower(**kwargs):
    return tfrecs.models.TwoTower(ITEMS, USERS, dim=4, max_length=3, seed=2, **kwargs)


MODELS = {
    "SASRec": lambda: tfrecs.models.SASRec(ITEMS, dim=4, num_blocks=1, max_length=3, seed=1),
    "TwoTower": two_tower,
    "MatrixFactorization": lambda: tfrecs.models.MatrixFactorization(ITEMS, USERS, dim=4, seed=1),
    "GeneralizedMF": lambda: tfrecs.models.GeneralizedMF(ITEMS, USERS, dim=4, seed=1),
    "MLP": lambda: tfrecs.models.MLP(ITEMS, USERS, dim=4, seed=1),
    "NeuralMF": lambda: tfrecs.models.NeuralMF(ITEMS, USERS, dim=4, seed=1),
    "DeepCross": deep_cross,
    "RetrieveThenRank": lambda: tfrecs.models.RetrieveThenRank(two_tower(), deep_cross(), 4),
}
VECTORS = {"SASRec", "TwoTower", "MatrixFactorization", "GeneralizedMF"}


def test_none_is_missing():
    assert set(MODELS) == set(tfrecs.models.__all__) - {"Model"}


@pytest.mark.parametrize("name", MODELS)
def test_export(name, tmp_path):
    model = MODELS[name]()
    folder = export(model, tmp_path, k=12, num_exclusions=2)
    manifest = verify(folder)
    expected = {"serving_default", "score"}
    if name in VECTORS:
        expected |= {"query_vectors", "item_vectors"}
    signatures = manifest["signatures"]
    assert set(signatures) == expected
    assert {golden["signature"] for golden in manifest["golden"]} == expected
    inputs = signatures["serving_default"]["inputs"]
    assert inputs["exclude"]["shape"] == [None, 2]
    assert ("history" in inputs) == (model.max_history is not None)
    assert ("user_id" in inputs) == (name != "SASRec")
    recommender = Recommender(folder)
    asked = {"user": 3} if "user_id" in inputs else {"history": ["film 1"]}
    features = {"user_id": tf.constant([3])}
    if model.max_history:
        asked["history"] = ["film 1"]
        features["history"] = tf.constant([[0, 0, 2]])
    answer = recommender.recommend(k=12, **asked)
    scores = model.score(features).numpy()[0]
    order = [i for i in np.argsort(-scores) if i != 1 or not model.max_history]
    assert [item for item, _ in answer] == [f"film {i}" for i in order]
    without = recommender.recommend(k=12, exclude=[answer[0][0], answer[3][0]], **asked)
    assert without == [*answer[1:3], *answer[4:]]
    if name == "DeepCross":
        return
    # The scores by which is recommended; those of a model that retrieves first are the ranker's.
    frame = pd.DataFrame({"user_id": [3], "history": [["film 1"]]})
    frame["candidates"] = [["film 4", "film 99", "film 1"]]
    got = recommender.score(frame)
    want = model.score(features, tf.constant([[5, 1, 2]])).numpy()
    np.testing.assert_allclose(got[0, [0, 2]], want[0, [0, 2]], rtol=1e-4, atol=1e-6)
    assert got[0, 1] == LOWEST


def test_rows_of_queries_and_candidates_must_be_as_many(tmp_path):
    """One row of either would otherwise be taken for every row of the other."""
    model = MODELS["MatrixFactorization"]()
    score = tf.saved_model.load(export(model, tmp_path)).signatures["score"]
    candidates = tf.constant([["film 1"], ["film 2"]])
    with pytest.raises(tf.errors.InvalidArgumentError, match="Inputs differ in their number of ro"):
        score(user_id=tf.constant([1], tf.int64), candidates=candidates)


def test_a_catalogue_of_several_blocks(tmp_path, monkeypatch):
    """The exact search in an export, where it goes through blocks, with exclusions in each."""
    from tfrecs.serving import exact_top_k

    monkeypatch.setattr(exact_top_k, "_SMALL", 64)
    monkeypatch.setattr(exact_top_k, "_BLOCK_SCORES", 64)
    items = Vocabulary(range(1000))
    model = tfrecs.models.MatrixFactorization(items, USERS, dim=4, stddev=1.0, seed=3)
    folder = export(model, tmp_path, k=20, num_exclusions=60)
    recommender = Recommender(folder)
    order = np.argsort(-model.score({"user_id": tf.constant([2])}).numpy()[0]).tolist()
    answer = recommender.recommend(k=20, user=2, exclude=[*order[:40:2], *order[-40:]])
    assert [item for item, _ in answer] == [*order[1:40:2]]
    assert "While" in str(recommender.manifest["operations"])
