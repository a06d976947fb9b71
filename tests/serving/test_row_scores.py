"""Exports of models of rows: raw values of every column in, predictions out."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tfrecs
from tests.serving.replayed import (
    LIBRARIES,
    REPLAY,
    assert_answers,
    golden_request,
    golden_requests,
    request,
    tensor,
)
from tfrecs._keras import keras, tf
from tfrecs.data import (
    Categorical,
    History,
    Interactions,
    Numeric,
    Rows,
    Schema,
    Text,
    Timestamp,
    Tokenizer,
    Vector,
    Vocabulary,
    click_through,
)
from tfrecs.models import DeepCross
from tfrecs.serving import Recommender, export

COLOURS = Vocabulary(["red", "blue"])
FRAME = pd.DataFrame(
    {
        "class": ["red", "blue", None, "green"],
        "watch time": [1.0, np.nan, 70_000.0, -3.0],
        "日本": [[7, 8], [9], None, [5, 7]],
        "at": pd.to_datetime(["2024-03-01", None, "1960-05-05", "2001-01-01"]),
        "title": ["Toy Story", "", None, "Été story"],
        "seen": [["red"], ["blue", "x"], [], None],
        "image": [[0.5, 1.0], None, [1.0, -1.0], [0.0, 2.0]],
        "liked": [1, 0, 1, 0],
    }
)
SCHEMA = Schema(
    {
        "class": Categorical(COLOURS),
        "watch time": Numeric("standard"),
        "日本": Categorical(Vocabulary([7, 8, 9]), max_values=2),
        "at": Timestamp(),
        "title": Text(Tokenizer(["toy", "story"]), max_tokens=4),
        "seen": History(COLOURS, max_length=2),
        "image": Vector(2),
        "liked": tfrecs.data.Label(),
    }
)


def manifest(folder):
    return json.loads(Path(folder, "assets.extra", "tfrecs_manifest.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def rows_only():
    """A model of plain columns, and what it predicts of the rows of FRAME."""
    rows = Rows.from_frame(FRAME, SCHEMA)
    model = DeepCross(SCHEMA, dim=4, cross_layers=1, deep_units=[8], seed=1)
    model.adapt(rows)
    return model, model.predict(rows.batch(4, seed=None), verbose=0)


@pytest.fixture(scope="module")
def exported(rows_only, tmp_path_factory):
    return export(rows_only[0], tmp_path_factory.mktemp("rows"))


def test_scores_raw_rows_as_predict_scores_encoded_ones(rows_only, exported):
    recommender = Recommender(exported)
    got = recommender.score(FRAME.drop(columns="liked"))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, rows_only[1], rtol=1e-5)
    assert len(set(got.tolist())) == 4
    np.testing.assert_allclose(recommender.score(FRAME.iloc[::-1]), got[::-1], rtol=1e-5)
    assert recommender.score(FRAME.iloc[:0]).shape == (0,)


def test_manifest(exported):
    content = manifest(exported)
    assert "k" not in content
    assert "vocabulary" not in content
    signatures = content["signatures"]
    assert signatures["serving_default"] == signatures["score"]
    inputs = signatures["score"]["inputs"]
    assert {name: given["column"] for name, given in inputs.items()} == {
        "class_": "class",
        "watch_time": "watch time",
        "column___": "日本",
        **{name: name for name in ("at", "title", "seen", "image")},
    }
    assert signatures["score"]["outputs"] == {
        "score": {"dtype": "float32", "shape": [None], "label": "liked", "meaning": "probability"}
    }
    (golden,) = content["golden"]
    assert golden["inputs"]["watch_time"][-1] is None
    assert golden["inputs"]["class_"] == ["red", "blue", "unknown", ""]
    # One file for the vocabulary of two columns; the words of texts are a file too.
    assets = [name for name in content["files"] if name.startswith("assets/")]
    assert sorted(assets) == [f"assets/column_{name}.txt" for name in ("__", "class", "title")]


def test_it_recommends_nothing_and_says_so(exported):
    recommender = Recommender(exported)
    with pytest.raises(ValueError, match="DeepCross of this export scores rows and recommends no"):
        recommender.recommend([1], k=1)
    assert "DeepCross, scores of rows" in repr(recommender)
    with pytest.raises(ValueError, match="no column 'class', 'image', only 'watch time'"):
        recommender.score(FRAME.drop(columns=["class", "image"]))
    with pytest.raises(ValueError, match="no signature 'item_vectors', only score, serving_def"):
        recommender.item_vectors(FRAME)


@pytest.mark.skipif(
    not (LIBRARIES / "libtensorflow_cc.so.2").exists(), reason="TensorFlow's C library is elsewhere"
)
def test_golden_answers_through_the_c_api(exported, run_alone):
    (golden,) = golden_requests(exported)
    asked = golden_request(exported, golden)
    inputs = {**asked["inputs"], "watch_time": tensor([[0.0, 0.0], [0.0, 0.0]])}
    asked = [asked, request(exported, golden["signature"], **inputs)]
    answer, refused = json.loads(run_alone(REPLAY, LIBRARIES, stdin=json.dumps(asked)))
    assert_answers(answer, golden)
    assert "is not compatible with expected shape [?]" in refused["error"]


@pytest.fixture(scope="module")
def split():
    """Ratings with features of users and items, and the time of each."""
    rng = np.random.default_rng(0)
    n = 400
    users, items = rng.integers(1, 21, n), rng.integers(1, 13, n)
    log = Interactions(
        {
            "user_id": users,
            "item_id": [f"film {i}" for i in items],
            "timestamp": np.arange(n) * 5000,
            "rating": rng.integers(1, 3, n) * 2.0,
        },
        user_features=pd.DataFrame({"user_id": range(1, 21), "kind": [1, 0] * 10}),
        item_features=pd.DataFrame(
            {"item_id": [f"film {i}" for i in range(1, 13)], "price": np.arange(12.0)}
        ),
        duplicates="keep",
    )
    return click_through(log, context=Schema({"timestamp": Timestamp(("hour",))}))


@pytest.mark.slow
def test_rows_of_users_and_items_too(split, tmp_path):
    model = DeepCross.from_split(split, dim=4, cross_layers=1, deep_units=[8], seed=1)
    folder = export(model, tmp_path, k=5, known_items=split.known_items())
    recommender = Recommender(folder)
    frame = pd.DataFrame(
        {
            "user_id": [3, 999, "4", None],
            "item_id": ["film 2", "film 5", "film 99", None],
            "timestamp": [7200, 0, None, 50_000],
        },
        dtype=object,
    )
    features = {
        "user_id": tf.constant([3, 21, 4, 21]),
        "item_id": split.items.encode(["film 2", "film 5", "film 99", None]),
        "timestamp": tf.constant([[3], [1], [0], [14]]),
    }
    np.testing.assert_allclose(recommender.score(frame), model(features), rtol=1e-5)
    # It recommends what the user has no row of.
    scores = model.score({"user_id": tf.constant([3])}).numpy()[0]
    had = [split.train.columns, split.validation.columns]
    for columns in had:
        scores[columns["item_id"][columns["user_id"] == 3] - 1] = -np.inf
    left = int(np.isfinite(scores).sum())  # That is 2.
    best = [f"film {i}" for i in split.items.decode(np.argsort(-scores)[:left] + 1)]
    assert [item for item, _ in recommender.recommend(k=3, user=3)] == [
        name.removeprefix("film ") for name in best
    ]
    content = manifest(folder)
    assert list(content["signatures"]) == ["serving_default", "score"]
    assert [golden["signature"] for golden in content["golden"]] == ["serving_default", "score"]


def test_rows_of_items_without_users_score_alone(split, tmp_path):
    model = DeepCross(split.context, split.items, dim=4, cross_layers=1, deep_units=[8], seed=1)
    folder = export(model, tmp_path)
    frame = pd.DataFrame({"item_id": ["film 3"], "timestamp": [7200]})
    rows = {"item_id": split.items.encode(["film 3"]), "timestamp": tf.constant([[3]])}
    np.testing.assert_allclose(Recommender(folder).score(frame), model(rows), rtol=1e-5)
    inputs = manifest(folder)["signatures"]["serving_default"]["inputs"]
    assert list(inputs) == ["item_id", "timestamp"]


def test_several_heads_give_one_output_each(tmp_path):
    frame = FRAME.assign(**{"watch time": [1.0, 2.0, 3.0, 4.0], "a rating": [3.0, 5.0, 1.0, 2.0]})
    schema = Schema.from_frame(
        frame[["watch time", "liked", "a rating"]], label=["liked", "a rating"]
    )
    task = tfrecs.tasks.MultiTask(
        {
            "liked": tfrecs.tasks.Ranking(keras.losses.BinaryCrossentropy(from_logits=True)),
            "a rating": tfrecs.tasks.Ranking(keras.losses.MeanSquaredError()),
        }
    )
    model = DeepCross(schema, dim=4, cross_layers=1, deep_units=[8], task=task, seed=1)
    rows = Rows.from_frame(frame, schema)
    model.adapt(rows)
    folder = export(model, tmp_path)
    got = Recommender(folder).score(frame[["watch time"]])
    want = model.predict(rows.batch(4, seed=None), verbose=0)
    assert set(got) == {"liked", "a rating"}
    for head in got:
        np.testing.assert_allclose(got[head], want[head], rtol=1e-5)
    outputs = manifest(folder)["signatures"]["score"]["outputs"]
    assert {name: (x["label"], x["meaning"]) for name, x in outputs.items()} == {
        "liked": ("liked", "probability"),
        "a_rating": ("a rating", "number"),
    }


@pytest.mark.slow
def test_mixed_precision(tmp_path):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = DeepCross(SCHEMA, dim=4, cross_layers=1, deep_units=[8], seed=1)
        model.adapt(Rows.from_frame(FRAME, SCHEMA))
        got = Recommender(export(model, tmp_path)).score(FRAME)
        columns = {n: tf.constant(x) for n, x in SCHEMA.encode(FRAME).items()}
        want = model.call(columns)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=1e-2)
    assert np.isfinite(got).all()
