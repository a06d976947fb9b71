"""Every public model is exported, with all its signatures, and the export is what it says."""

import numpy as np
import pandas as pd
import pytest
from tensorflow.core.protobuf import saved_model_pb2

import tfrecs
from tests.public_models import MODELS as PUBLIC
from tests.serving.public_models import EXCLUSIONS, MODELS, USERS
from tfrecs._keras import tf
from tfrecs.data import Histories, Vocabulary
from tfrecs.serving import Recommender, export, verify

LOWEST = np.finfo(np.float32).min


def variable_types(folder):
    """The types of the variables that the graph of an export reads."""
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    (graph,) = (meta.graph_def for meta in saved.meta_graphs)
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    return {
        tf.as_dtype(node.attr["dtype"].type).name
        for node in nodes
        if node.op in ("VarHandleOp", "ReadVariableOp", "ResourceGather")
    }


# One of each kind: by history, by user, by rows. The others take seconds each.
QUICK = {"SASRec", "MatrixFactorization", "DeepCross"}


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS],
)
def test_export(name, public_export):
    model = MODELS[name]()
    folder = public_export(name)
    manifest = verify(folder)
    expected = {"serving_default", "score"}
    if PUBLIC[name].vectors:
        expected |= {"query_vectors", "item_vectors"}
    # A GPU's int32 variables are on the host.
    assert "float32" in variable_types(folder)
    assert "int32" not in variable_types(folder)
    signatures = manifest["signatures"]
    assert set(signatures) == expected
    assert {golden["signature"] for golden in manifest["golden"]} == expected
    inputs = signatures["serving_default"]["inputs"]
    assert inputs["exclude"]["shape"] == [None, EXCLUSIONS]
    assert ("history" in inputs) == (model.max_history is not None)
    assert ("user_id" in inputs) == (PUBLIC[name].reads != "sequences")
    recommender = Recommender(folder)
    items = model.items.ids.tolist()
    asked, features = {"history": [items[1]]}, {"user_id": tf.constant([3])}
    if "user_id" in inputs:
        asked = {"user": model.users.ids.tolist()[2]}
    if model.max_history:
        asked["history"] = [items[1]]
        features["history"] = tf.constant([[0, 0, 2]])
    answer = recommender.recommend(k=len(items), **asked)
    scores = model.score(features).numpy()[0]
    order = [i for i in np.argsort(-scores) if i != 1]  # Of the history, or known of the user.
    assert [item for item, _ in answer] == [items[i] for i in order]
    np.testing.assert_allclose([x for _, x in answer], scores[order], rtol=1e-4, atol=1e-6)
    without = recommender.recommend(k=len(items), exclude=[answer[0][0], answer[3][0]], **asked)
    assert without == [*answer[1:3], *answer[4:]]
    if PUBLIC[name].reads == "rows":
        return
    # The scores by which is recommended; those of a model that retrieves first are the ranker's.
    frame = pd.DataFrame({"user_id": [asked.get("user")], "history": [[items[1]]]})
    frame["candidates"] = [[items[4], "99", items[1]]]
    got = recommender.score(frame)
    want = model.score(features, tf.constant([[5, 1, 2]])).numpy()
    np.testing.assert_allclose(got[0, [0, 2]], want[0, [0, 2]], rtol=1e-4, atol=1e-6)
    assert got[0, 1] == LOWEST


def test_rows_of_queries_and_candidates_must_be_as_many(public_export):
    """One row of either would otherwise be taken for every row of the other."""
    score = tf.saved_model.load(str(public_export("MatrixFactorization"))).signatures["score"]
    candidates = tf.constant([[11], [5]], tf.int64)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Inputs differ in their number of ro"):
        score(user_id=tf.constant([1], tf.int64), candidates=candidates)


@pytest.mark.slow
def test_a_catalogue_of_several_blocks(tmp_path, monkeypatch):
    """The exact search in an export, where it goes through blocks, with exclusions in each."""
    from tfrecs.serving.index import exact

    monkeypatch.setattr(exact, "_SMALL", 64)
    monkeypatch.setattr(exact, "_BLOCK_SCORES", 64)
    items = Vocabulary(range(1000))
    model = tfrecs.models.MatrixFactorization(items, USERS, dim=4, stddev=1.0, seed=3)
    folder = export(
        model, tmp_path, k=20, num_exclusions=60, known_items=Histories.from_lists([[]] * 5)
    )
    recommender = Recommender(folder)
    order = np.argsort(-model.score({"user_id": tf.constant([2])}).numpy()[0]).tolist()
    answer = recommender.recommend(
        k=20, user=int(USERS.ids[1]), exclude=[*order[:40:2], *order[-40:]]
    )
    assert [item for item, _ in answer] == [*order[1:40:2]]
    assert "While" in str(recommender.manifest["operations"])
