"""Vectors as Parquet files."""

import numpy as np
import pandas as pd
import pytest

import tfrecs
from tfrecs.data import Interactions, leave_last_out
from tfrecs.models import SASRec, TwoTower
from tfrecs.serving import write_vectors


@pytest.fixture
def split():
    users = np.repeat(["ann", "bob", "cid"], 5)
    items = np.tile([10, 20, 30, 40, 50], 3)
    return leave_last_out(Interactions({"user_id": users, "item_id": items}))


@pytest.mark.parametrize("kind", [SASRec, TwoTower])
def test_products_of_the_vectors_are_the_scores(kind, split, tmp_path):
    model = kind.from_split(split, dim=4, max_length=3, seed=1)
    paths = write_vectors(model, tmp_path / "vectors", split.test, batch_size=2)
    items, users = (pd.read_parquet(path) for path in paths)
    assert items["item_id"].tolist() == [10, 20, 30, 40, 50]
    assert users["user_id"].tolist() == ["ann", "bob", "cid"]
    scores = np.stack(users["vector"]) @ np.stack(items["vector"]).T
    features = {"user_id": split.test.user_ids, "history": split.test.history.padded(range(3), 3)}
    np.testing.assert_allclose(scores, model.score(features), rtol=1e-5, atol=1e-6)


def test_refusals(split, tmp_path):
    with pytest.raises(ValueError, match="no vocabulary of items"):
        write_vectors(SASRec(5, dim=4), tmp_path)
    context = tfrecs.data.Schema({"y": tfrecs.data.Label()})
    ranker = tfrecs.models.DeepCross(context, split.items, split.users)
    with pytest.raises(ValueError, match="DeepCross scores without vectors"):
        write_vectors(ranker, tmp_path)


def test_a_user_with_several_rows_has_the_vector_of_the_last(tmp_path):
    log = Interactions({"user_id": [5] * 6, "item_id": range(6), "timestamp": range(6)})
    split = tfrecs.data.global_time(log, times=(2, 4), targets="successive")
    assert split.test.user_ids.tolist() == [1, 1]
    model = SASRec.from_split(split, dim=4, max_length=5, seed=1)
    _, path = write_vectors(model, tmp_path, split.test)
    users = pd.read_parquet(path)
    assert users["user_id"].tolist() == [5]
    expected = model.query_vectors({"history": np.array([[1, 2, 3, 4, 5]], np.int32)})
    np.testing.assert_allclose(np.stack(users["vector"]), expected, rtol=1e-5, atol=1e-6)
