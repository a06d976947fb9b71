"""Exports that search by ScaNN, where it is installed."""

import json
from pathlib import Path

import numpy as np
import pytest

from tfrecs._keras import SCANN_ERROR, tf
from tfrecs.data import Histories, Vocabulary
from tfrecs.models import MLP, MatrixFactorization
from tfrecs.serving import Recommender, export, verify

USERS = Vocabulary(range(50))
NOTHING = Histories.from_lists([[]] * 51)
needs_scann = pytest.mark.skipif(SCANN_ERROR is not None, reason=str(SCANN_ERROR))


def factorization(num_items):
    """Items in clusters, as learned vectors are: independent numbers have no near neighbours."""
    model = MatrixFactorization(Vocabulary(range(num_items)), USERS, dim=17, seed=1)
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(20, 17))
    table = centres[rng.integers(20, size=num_items)] + 0.3 * rng.normal(size=(num_items, 17))
    model.item_embedding.table.assign(table.astype(np.float32))
    users = centres[rng.integers(20, size=50)] + 0.3 * rng.normal(size=(50, 17))
    model.user_embedding.table.assign(users.astype(np.float32))
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model = factorization(4000)
    folder = tmp_path_factory.mktemp("scann")
    return model, export(model, folder, k=20, index="scann", known_items=NOTHING)


@needs_scann
def test_recall_and_exclusions(exported):
    model, folder = exported
    recommender = Recommender(folder)
    scores = model.score({"user_id": tf.range(1, 51)}).numpy()
    order = np.argsort(-scores, axis=1)
    found, left = [], []
    for user in range(50):
        answer = recommender.recommend(k=20, user=user)
        ids = [item for item, _ in answer]
        assert len(ids) == len(set(ids)) == 20
        np.testing.assert_allclose([s for _, s in answer], scores[user][ids], rtol=1e-4)
        found.append(len(set(ids) & set(order[user, :20])) / 20)
        without = recommender.recommend(k=20, user=user, exclude=ids[:10])
        assert not {item for item, _ in without} & set(ids[:10])
        left.append(len({item for item, _ in without} & set(order[user, 10:30])) / 20)
    assert np.mean(found) > 0.95
    assert np.mean(left) > 0.9


@needs_scann
def test_known_items_are_left_out(exported, tmp_path):
    model, folder = exported
    best = [item for item, _ in Recommender(folder).recommend(k=20, user=3)]
    rows = [[]] * 51
    rows[4] = [item + 1 for item in best[:12]]  # Ids are raw ids plus 1.
    known = Histories.from_lists(rows)
    knowing = Recommender(export(model, tmp_path, k=20, index="scann", known_items=known))
    answer = [item for item, _ in knowing.recommend(k=20, user=3)]
    assert answer[:8] == best[12:]
    assert not set(answer) & set(best[:12])


@needs_scann
def test_manifest_and_verification(exported):
    _, folder = exported
    manifest = json.loads(Path(folder, "assets.extra", "tfrecs_manifest.json").read_text())
    assert manifest["index"] == "scann"
    assert any(name.startswith("Scann>") for name in manifest["operations"])
    assert verify(folder)["golden"] == manifest["golden"]


@needs_scann
def test_refusals(tmp_path):
    with pytest.raises(ValueError, match="needs at least 1,000 items to learn from, and"):
        export(factorization(9), tmp_path, index="scann", known_items=NOTHING)
    mlp = MLP(Vocabulary(range(9)), USERS, dim=4)
    with pytest.raises(ValueError, match="'scann' searches vectors, and MLP scores without"):
        export(mlp, tmp_path, index="scann")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(SCANN_ERROR is None, reason="ScaNN is installed")
def test_it_says_why_it_is_off(tmp_path):
    with pytest.raises(ImportError, match="ScaNN is off: "):
        export(factorization(9), tmp_path, index="scann")
