"""Exports of models that know users by their id."""

import json
from pathlib import Path

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.cli import main
from tfrecs.data import Histories, Vocabulary
from tfrecs.models import MatrixFactorization, TwoTower
from tfrecs.serving import Recommender, export

ITEMS = Vocabulary([f"film {i}" for i in range(20)])
USERS = Vocabulary([5, 900, 17, -1])
KNOWN = [4, 9]  # of the user 17: film 3 and film 8


@pytest.fixture(scope="module", params=["mean", None], ids=["history", "no history"])
def exported(request, tmp_path_factory):
    model = TwoTower(ITEMS, USERS, dim=4, pooling=request.param, max_length=3, seed=4)
    known = None if model.max_history else Histories.from_lists([[], [], [], KNOWN, []])
    return model, export(model, tmp_path_factory.mktemp("users"), k=6, known_items=known)


def test_answers_as_score_does(exported):
    model, folder = exported
    recommend = tf.saved_model.load(folder).signatures["serving_default"]
    users = tf.constant([17, 12345], tf.int64)
    lists = [["film 3", "film 8", "", "", ""], ["film 1", "film 2", "film 3", "film 4", ""]]
    if model.max_history:
        nothing = tf.fill([2, 10], "")
        answer = recommend(history=tf.constant(lists), user_id=users, exclude=nothing)
    else:
        # What the known user has is in the export, and nobody else's is.
        exclude = tf.constant([[""] * 10, [*lists[1], *[""] * 5]])
        answer = recommend(user_id=users, exclude=exclude)
    ids = [[4, 9], [2, 3, 4, 5]]
    features = {
        "user_id": tf.constant([3, 5]),
        "history": tf.constant([[0, 4, 9], [3, 4, 5]]),
    }
    scores = model.score(features).numpy()
    for row, seen in enumerate(ids):
        scores[row, np.array(seen) - 1] = -np.inf
    order = np.argsort(-scores, axis=1)[:, :6]
    assert [[raw.decode() for raw in row] for row in answer["item_id"].numpy()] == [
        [f"film {i}" for i in row] for row in order
    ]
    np.testing.assert_allclose(answer["score"], np.take_along_axis(scores, order, 1), rtol=1e-4)


def test_manifest_and_recommender(exported):
    model, folder = exported
    manifest = json.loads(Path(folder, "assets.extra", "tfrecs_manifest.json").read_text())
    assert manifest["num_users"] == 4
    assert manifest["user_padding_id"] == -2
    inputs = manifest["signatures"]["serving_default"]["inputs"]
    assert inputs["user_id"] == {
        "dtype": "int64",
        "shape": [None],
        "column": "user_id",
        "kind": "Id",
        "missing": -2,
        "unknown": -3,
    }
    recommender = Recommender(folder)
    assert recommender.knows_users
    alone = recommender.recommend(k=3, user="900")
    scores = model.score({"user_id": tf.constant([2]), "history": tf.zeros([1, 3], tf.int32)})
    assert [item for item, _ in alone] == [f"film {i}" for i in np.argsort(-scores[0])[:3]]
    names = list(manifest["signatures"]["serving_default"]["inputs"])
    assert names == [*["history"][: bool(model.max_history)], "user_id", "exclude"]
    best = [f"film {i}" for i in np.argsort(-scores[0])]
    without = recommender.recommend(k=3, user=900, exclude=[*best[:2], "no film", best[0]])
    assert [item for item, _ in without] == best[2:5]
    if model.max_history:
        assert "film 7" not in [item for item, _ in recommender.recommend(["film 7"], k=6)]
    else:
        assert manifest["known_items"] == {"users": 1, "items": 2}
        with pytest.raises(ValueError, match="TwoTower reads no history: give the user alone"):
            recommender.recommend(best[:3], k=3, user=900)
    with pytest.raises(ValueError, match="There are 11 items to exclude, and this export takes 10"):
        recommender.recommend(k=3, user=900, exclude=best[:11])
    with pytest.raises(ValueError, match="The user 901 is not known to this export"):
        recommender.recommend(k=3, user=901)
    with pytest.raises(ValueError, match="'x' is not a user id: the users of this export are int"):
        recommender.recommend(k=3, user="x")
    message = "Neither history nor user" if model.max_history else "No user: give the user's id"
    with pytest.raises(ValueError, match=message):
        recommender.recommend(k=3)


def test_a_model_without_users_takes_none(public_export):
    recommender = Recommender(public_export("SASRec"))
    with pytest.raises(ValueError, match="SASRec knows no users: give a history alone"):
        recommender.recommend([11], k=3, user=5)


def test_known_items_must_be_those_of_the_model(public_export, tmp_path, capsys):
    model = MatrixFactorization(ITEMS, USERS, dim=4)
    with pytest.raises(
        ValueError, match="must hold what each user has.*known_items=split.known_it"
    ):
        export(model, tmp_path)
    with pytest.raises(ValueError, match="has 1 rows for 4 users"):
        export(model, tmp_path, known_items=Histories.from_lists([[]]))
    with pytest.raises(ValueError, match="known_items holds 21: item ids go from 1 to 20"):
        export(model, tmp_path, known_items=Histories.from_lists([[], [1], [21], [], []]))
    with pytest.raises(ValueError, match="give one of the two"):
        export(model, tmp_path, recommend_known=True, known_items=Histories.from_lists([[]] * 5))
    history = TwoTower(ITEMS, USERS, dim=4, max_length=3)
    with pytest.raises(ValueError, match="of no use to an export of TwoTower: requests say"):
        export(history, tmp_path, known_items=Histories.from_lists([[]] * 5))
    assert not list(tmp_path.iterdir())
    folder = str(public_export("MatrixFactorization"))
    assert main(["recommend", folder, "--user", "5", "--k", "3"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert main(["recommend", folder, "--user", "5", "--history", "11"]) != 0
    assert "--history: MatrixFactorization reads none. Give --user" in capsys.readouterr().err
