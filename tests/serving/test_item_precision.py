"""Exports that store items in fewer bits, or by codes: what they answer, and their size."""

import json
from pathlib import Path

import numpy as np
import pytest

import tfrecs
from tests.public_models import USERS
from tests.serving.test_report_equals_export import check
from tfrecs._keras import tf
from tfrecs.data import EvaluationSet, Histories, Vocabulary
from tfrecs.models import SASRec, TwoTower
from tfrecs.serving import Recommender, export, verify
from tfrecs.serving.exports.stored import stored
from tfrecs.serving.index import exact
from tfrecs.serving.index.exact import best_products
from tfrecs.serving.index.item_table import stored_rows

ITEMS = Vocabulary(range(100, 140))
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(90, 6)).astype(np.float32) * RNG.exponential(size=(90, 1))
VECTORS[7] = 0


def sasrec(items=ITEMS, **arguments):
    given = {"dim": 16, "num_blocks": 1, "max_length": 5, "seed": 3, **arguments}
    model = SASRec(items, **given)
    for layer in (model.embedding, model.output_embedding):
        if layer is not None:  # Larger than at first, so that scores lie apart.
            layer.table.assign(layer.table * 20)
    return model


def manifest(folder):
    return json.loads(Path(folder, "assets.extra", "tfrecs_manifest.json").read_text("utf-8"))


def size(folder):
    return sum(path.stat().st_size for path in Path(folder, "variables").iterdir())


def dequantised(vectors, precision):
    """What a precision makes of vectors, in numpy."""
    if precision == "float16":
        return vectors.astype(np.float16).astype(np.float32)
    scale = np.abs(vectors).max(axis=1, keepdims=True) / 127
    return np.where(scale > 0, np.rint(vectors / np.where(scale > 0, scale, 1)) * scale, 0)


@pytest.mark.parametrize("precision", ["float16", "int8"])
@pytest.mark.parametrize("numbers", [12, 10**6], ids=["tiny blocks", "one block"])
def test_the_search_is_exact_over_what_is_stored(precision, numbers, monkeypatch):
    monkeypatch.setattr(exact, "_SMALL", 8)
    monkeypatch.setattr(exact, "_GROUP", 4)
    monkeypatch.setattr(exact, "_BLOCK_NUMBERS", numbers)
    rows = stored_rows(VECTORS, precision)
    vectors = dequantised(VECTORS, precision)
    np.testing.assert_allclose(rows.of(tf.range(90)), vectors, rtol=1e-6)
    assert not np.array_equal(vectors, VECTORS)
    queries = RNG.normal(size=(5, 6)).astype(np.float32)
    norm = np.linalg.norm(vectors, axis=1).max()
    nobody = np.zeros([5, 0], np.int32)
    best, found = tf.function(lambda q: best_products(q, rows, 12, nobody, norm))(queries)
    scores = queries @ vectors.T
    order = np.argsort(-scores, axis=1)[:, :12]
    np.testing.assert_array_equal(found, order)
    np.testing.assert_allclose(best, np.take_along_axis(scores, order, 1), rtol=1e-5, atol=1e-6)


def test_no_block_of_a_large_table_is_large():
    """A table of 64 MB in half precision: no tensor of the graph holds all as float32."""
    rows = stored_rows(np.zeros((500_000, 64), np.float32), "float16")
    nobody = np.zeros([1, 0], np.int32)
    seen = []
    products = rows.products

    def watched(queries, start, stop):
        seen.append(stop - start)
        return products(queries, start, stop)

    rows.products = watched
    tf.config.run_functions_eagerly(True)
    try:
        best_products(tf.ones([1, 64]), rows, 3, nobody, 1.0)
    finally:
        tf.config.run_functions_eagerly(False)
    assert sum(map(int, seen)) == 500_000
    assert max(map(int, seen)) * 64 <= 1 << 22


# Of the float32 numbers of all 2,000 items and of each item's scale or codes.
SIZES = {"float32": 1.0, "float16": 0.5, "int8": 0.25 + 4 / 256}


@pytest.mark.parametrize("precision", SIZES)
def test_the_table_is_there_once_and_as_small_as_it_should_be(precision, tmp_path):
    model = sasrec(Vocabulary(range(2000)), dim=64)
    folder = export(model, tmp_path, item_precision=precision)
    assert manifest(folder)["item_precision"] == precision
    rest = 4 * sum(int(np.prod(w.shape)) for w in model.weights) - 4 * 64 * 2000
    table = size(folder) - rest
    assert SIZES[precision] * 512_000 <= table < SIZES[precision] * 512_000 + 6_000


def test_codes_are_stored_and_no_table(tmp_path):
    model = sasrec(Vocabulary(range(2000)), dim=64, code_length=8, num_centroids=16)
    folder = export(model, tmp_path)
    verify(folder)
    codes, centroids = 2000 * 4, 16 * 64 * 4  # Eight codes of 4 bits are a word.
    rest = 4 * sum(int(np.prod(w.shape)) for w in model.trainable_weights) - centroids
    assert codes + centroids <= size(folder) - rest < codes + centroids + 6_000


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        pytest.param({"similarity": "cosine"}, marks=pytest.mark.slow),
        pytest.param({"similarity": "lorentz"}, marks=pytest.mark.slow),
        pytest.param({"tied": False}, marks=pytest.mark.slow),
        pytest.param({"item_bias": True}, marks=pytest.mark.slow),
    ],
    ids=str,
)
@pytest.mark.parametrize("precision", ["int8", pytest.param("float16", marks=pytest.mark.slow)])
def test_report_equals_export(precision, arguments, tmp_path):
    model = sasrec(**arguments)
    before = model.item_vectors().numpy()
    folder = export(model, tmp_path, k=40, item_precision=precision)
    verify(folder)
    recommender = Recommender(folder)
    np.testing.assert_array_equal(model.item_vectors(), before)  # The model is as it was.
    with stored(model, precision) as (as_stored, _):
        vectors = as_stored.item_vectors().numpy()
        np.testing.assert_allclose(vectors, dequantised(before, precision), rtol=1e-6)
        check(as_stored, folder, False)
    history = np.array([[105, 139, 100]])
    asked = recommender.query_vectors({"history": history.tolist()})
    embedding = model.embedding
    plain = embedding.table.numpy()
    ids = {"history": tf.constant(history - 99, tf.int32)}
    assert not np.array_equal(asked, model.query_vectors(ids))
    embedding.table.assign(dequantised(plain, precision))
    np.testing.assert_allclose(asked, model.query_vectors(ids), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "arguments",
    [{"item_bias": True}, pytest.param({"similarity": "cosine"}, marks=pytest.mark.slow)],
    ids=str,
)
def test_a_quantised_model_answers_as_its_report(arguments, tmp_path):
    model = sasrec(code_length=4, num_centroids=7, **arguments)
    check(model, export(model, tmp_path, k=40), False)


def test_the_loss_is_measured_on_a_part(tmp_path):
    model = sasrec()
    users = np.arange(1, 41)
    histories = [RNG.permutation(40)[:6] + 1 for _ in users]
    part = EvaluationSet(
        users,
        Histories.from_lists([row[:5] for row in histories]),
        Histories.from_lists([row[5:] for row in histories]),
        np.zeros(42, np.int64),
        ITEMS,
        ITEMS,
        name="toy validation",
    )
    folder = export(model, tmp_path, k=40, item_precision="int8", measure_on=part)
    found = manifest(folder)["NDCG@10"]
    assert found["part"] == "toy validation"
    plain = tfrecs.evaluate(model, part, baselines=False).metrics["NDCG@10"]
    assert found["float32"] == pytest.approx(plain, rel=1e-6)
    answers = [
        [item for item, _ in Recommender(folder).recommend(ITEMS.decode(row[:5]).tolist(), k=10)]
        for row in histories
    ]
    gains = [
        1 / np.log2(2 + answer.index(target)) if target in answer else 0.0
        for answer, target in zip(answers, (ITEMS.decode(r[5]) for r in histories), strict=True)
    ]
    assert found["int8"] == pytest.approx(np.mean(gains), rel=1e-6)


@pytest.mark.slow
def test_towers_store_their_items_too(tmp_path):
    model = TwoTower(ITEMS, USERS, dim=8, max_length=4, hidden_units=[8], seed=1)
    folder = export(model, tmp_path, k=40, item_precision="int8")
    vectors = np.asarray(model.item_vectors())
    given = np.asarray(Recommender(folder).item_vectors({"item_id": ITEMS.ids.tolist()}))
    np.testing.assert_allclose(given, dequantised(vectors, "int8"), rtol=1e-5, atol=1e-7)


def test_what_has_no_use_is_refused(tmp_path):
    deep = tfrecs.models.NeuralMF(ITEMS, USERS, dim=4, mlp_dim=4)
    for model, given, message in (
        (sasrec(), {"item_precision": "int4"}, "must be one of float32, float16, int8"),
        (deep, {"item_precision": "int8"}, "NeuralMF scores without vectors of items"),
        (sasrec(code_length=4), {"item_precision": "int8"}, "product-quantised, and stored by"),
    ):
        with pytest.raises(ValueError, match=message):
            export(model, tmp_path, recommend_known=True, **given)
    with pytest.raises(ValueError, match="float16 cannot hold item vectors with numbers up to"):
        stored_rows(VECTORS * 1e6, "float16")
    assert not any(tmp_path.iterdir())
