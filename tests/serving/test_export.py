"""What an export answers, against plain Python; and what export refuses to write."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tfrecs
from tfrecs._keras import keras, tf
from tfrecs.data import Vocabulary
from tfrecs.serving import export

LOWEST = float(np.finfo(np.float32).min)
INTEGERS = [7, 3, 1000000007, 12, 5, -2, 40, 41]
# What a text file, a delimiter or a trim could spoil.
STRINGS = ["a", "tab\tin", " lead", "trail ", "comma,in", "quote\"'", "Ünïcode 電影", "B"]


def manifest(folder):
    return json.loads(Path(folder, "assets.extra", "tfrecs_manifest.json").read_text("utf-8"))


@pytest.mark.parametrize("product", [True, False])
@pytest.mark.parametrize("ids", [INTEGERS, STRINGS], ids=["int", "str"])
def test_answers_as_plain_python_does(ids, product, make_model, reference, answer, tmp_path):
    model, table = make_model(ids, max_length=3, product=product)
    folder = export(model, tmp_path, k=5)
    no, unknown = (-1, 999) if ids is INTEGERS else ("", "never seen")
    rows = [
        [ids[0], ids[1], no, no, no, no],  # padded on the right
        [no, no, no, no, ids[0], ids[1]],  # on the left: the same answer
        [no, ids[0], no, unknown, ids[1], no],  # anywhere, unknown ids too: the same
        [ids[1], ids[0], no, no, no, no],  # the order counts
        [ids[2], ids[2], ids[3], ids[2], no, no],  # repeated items
        [ids[4], ids[5], ids[6], ids[7], ids[0], no],  # beyond max_length: excluded all the same
        [no] * 6,  # an empty history
        [ids[0], ids[1], ids[2], ids[3], ids[4], ids[5]],  # 2 items left for 5 places
    ]
    found, scores = answer(folder, rows)
    for row, raw, numbers in zip(rows, found, scores, strict=True):
        expected_raw, expected = reference(ids, table, 3, row, 5, no)
        if any(item in ids for item in row):
            assert raw == expected_raw
        np.testing.assert_allclose(numbers, expected, rtol=1e-5, atol=1e-6)
    assert found[0] == found[1] == found[2] != found[3]
    assert np.isfinite(scores).all()
    assert found[-1][2:] == [no] * 3
    assert scores[-1, 2:].tolist() == [LOWEST] * 3
    nobody, scores = answer(folder, np.zeros((0, 4), object))
    assert nobody == []
    assert scores.shape == (0, 5)


@pytest.mark.slow
def test_vectors_of_a_model_without_features(make_model, tmp_path):
    model, table = make_model(INTEGERS, max_length=2)
    recommender = tfrecs.serving.Recommender(export(model, tmp_path))
    items = recommender.item_vectors(pd.DataFrame({"item_id": [3, 999, 7]}))
    np.testing.assert_allclose(items, [table[:, 1], np.zeros(8), table[:, 0]])
    frame = pd.DataFrame({"history": [[3, 12, 999, 7], [], [-2]]})
    want = np.zeros((3, 8))
    want[0, 0], want[0, 3], want[2, 5] = 1.0, 0.5, 1.0
    np.testing.assert_allclose(recommender.query_vectors(frame), want)
    with pytest.raises(ValueError, match="no column 'item_id', only 'history'"):
        recommender.item_vectors(frame)
    with pytest.raises(ValueError, match="no column 'candidates', only 'history'"):
        recommender.score(frame)


@pytest.mark.slow
def test_sasrec_answers_as_score_does(answer, tmp_path):
    """The trainer's side is `score` on internal ids, ranked and masked here in numpy."""
    items = Vocabulary([f"film {i}" for i in range(60)])
    model = tfrecs.models.SASRec(items, dim=8, num_blocks=1, max_length=6, seed=3)
    folder = export(model, tmp_path, k=20)
    rng = np.random.default_rng(5)
    histories = [rng.choice(60, size=n).tolist() for n in (1, 2, 6, 9)]
    padded, inputs = [], np.zeros((4, 6), np.int32)
    for row, history in zip(inputs, histories, strict=True):
        recent = history[-6:]
        row[6 - len(recent) :] = np.array(recent) + 1
        padded.append([f"film {i}" for i in history] + [""] * (9 - len(history)))
    scores = np.array(model.score({"history": tf.constant(inputs)}))
    for row, history in zip(scores, histories, strict=True):
        row[history] = -np.inf
    order = np.argsort(-scores, axis=1)[:, :20]
    found, values = answer(folder, padded)
    assert found == [[f"film {j}" for j in row] for row in order]
    np.testing.assert_allclose(values, np.take_along_axis(scores, order, 1), rtol=1e-4, atol=1e-6)


def test_nan_and_infinite_scores_never_come_out(make_model, answer, tmp_path):
    model, table = make_model(INTEGERS, product=False)
    poison = np.zeros(len(INTEGERS), np.float32)
    poison[[2, 4, 5]] = np.nan, np.inf, -np.inf
    plain = model.score
    model.score = lambda features, items=None: (
        plain(features) + poison
        if items is None
        else plain(features, items) + tf.gather(poison, items - 1)
    )
    found, scores = answer(export(model, tmp_path, k=7), [[INTEGERS[0]]])
    healthy = [i for i in np.argsort(-table[0]) if i not in (0, 2, 4, 5)]
    assert found[0] == [INTEGERS[i] for i in healthy] + [-1] * 3
    assert scores[0, 4:].tolist() == [LOWEST] * 3
    np.testing.assert_allclose(scores[0, :4], table[0][healthy], rtol=1e-6)


@pytest.mark.slow
def test_padding_is_no_items_id_and_k_is_clamped(make_model, answer, tmp_path):
    model, _ = make_model([-1, -3, 5, -2])
    folder = export(model, tmp_path)
    assert manifest(folder)["padding_id"] == -4
    assert manifest(folder)["k"] == 4
    found, scores = answer(folder, [[-1, -4]])
    assert sorted(found[0][:3]) == [-3, -2, 5]
    assert found[0][3] == -4
    assert scores[0, 3] == LOWEST


def test_manifest(make_model, answer, tmp_path):
    model, _ = make_model(STRINGS, max_length=4)
    folder = export(model, tmp_path, k=5, version=3)
    assert folder == str(tmp_path / "3")
    content = manifest(folder)
    ids = {"dtype": "string", "missing": "", "unknown": " "}
    history = {**ids, "shape": [None, None], "column": "history", "kind": "History"}
    exclude = {**ids, "shape": [None, 10], "column": "exclude", "kind": "Ids"}
    candidates = {**ids, "shape": [None, None], "column": "candidates", "kind": "Ids"}
    vector = {"vector": {"dtype": "float32", "shape": [None, 8]}}
    expected = {
        "tfrecs": tfrecs.__version__,
        "tensorflow": tf.__version__,
        "model": "DecayProduct",
        "num_items": 8,
        "max_history": 4,
        "k": 5,
        "id_dtype": "string",
        "padding_id": "",
        "num_exclusions": 10,
        "index": "exact",
        "compute_dtype": "float32",
        "vocabulary": "assets/items.txt",
        "signatures": {
            "serving_default": {
                "inputs": {"history": history, "exclude": exclude},
                "outputs": {
                    "item_id": {"dtype": "string", "shape": [None, 5]},
                    "score": {"dtype": "float32", "shape": [None, 5]},
                },
            },
            "score": {
                "inputs": {"history": history, "candidates": candidates},
                "outputs": {"score": {"dtype": "float32", "shape": [None, None]}},
            },
            "query_vectors": {"inputs": {"history": history}, "outputs": vector},
            "item_vectors": {
                "inputs": {"item_id": {**ids, "shape": [None], "column": "item_id", "kind": "Id"}},
                "outputs": vector,
            },
        },
    }
    assert {key: content[key] for key in expected} == expected
    written = {p.relative_to(folder).as_posix() for p in Path(folder).rglob("*") if p.is_file()}
    assert set(content["files"]) == written - {"assets.extra/tfrecs_manifest.json"}
    golden, *others = content["golden"]
    asked = [golden["signature"] for golden in others]
    assert asked == ["score", "query_vectors", "item_vectors"]
    found, scores = answer(folder, golden["inputs"]["history"], golden["inputs"]["exclude"])
    assert golden["outputs"]["item_id"] == found
    np.testing.assert_allclose(golden["outputs"]["score"], scores, rtol=1e-6)
    vocabulary = Path(folder, content["vocabulary"]).read_text("utf-8")
    assert vocabulary.split("\n") == [*STRINGS, ""]
    # The model's table is read through its item vectors only: saved once.
    saved = tf.train.load_checkpoint(str(Path(folder, "variables", "variables")))
    shapes = saved.get_variable_to_shape_map()
    assert [shape for name, shape in shapes.items() if "OBJECT" not in name] == [[8, 8]]


@pytest.mark.slow
def test_mixed_precision_and_mirrored_variables(answer, tmp_path):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
            model = tfrecs.models.SASRec(
                Vocabulary(range(20)), dim=8, num_blocks=1, max_length=5, seed=1
            )
        found, scores = answer(export(model, tmp_path, k=3), [[4, 9]])
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert scores.dtype == np.float32
    assert len(set(found[0]) - {4, 9}) == 3


def test_refusals(make_model, tmp_path):
    model, table = make_model(INTEGERS)
    with pytest.raises(ValueError, match="k must be a positive integer, not 0"):
        export(model, tmp_path, k=0)
    with pytest.raises(ValueError, match="num_exclusions must be an integer, 0 or more, not -1"):
        export(model, tmp_path, num_exclusions=-1)
    with pytest.raises(ValueError, match="index must be 'exact' or 'scann', not 'faiss'"):
        export(model, tmp_path, index="faiss")
    with pytest.raises(ValueError, match="version must be a positive integer, not -1"):
        export(model, tmp_path, version=-1)
    for remote in ("gs://bucket/model", Path("s3://bucket/model")):
        with pytest.raises(ValueError, match="local file systems only, not to .*bucket"):
            export(model, remote)
    with pytest.raises(ValueError, match="no vocabulary"):
        export(tfrecs.models.SASRec(5, dim=4, max_length=3), tmp_path)
    users = tfrecs.models.TwoTower(Vocabulary([1, 2]), users=4, dim=4)
    with pytest.raises(ValueError, match="knows its users by number"):
        export(users, tmp_path)
    model.max_length = None
    with pytest.raises(ValueError, match="DecayProduct reads no history"):
        export(model, tmp_path)
    model.max_length = 3
    plain = model.score
    model.score = lambda features, items=None: 2 * plain(features, items)
    with pytest.raises(ValueError, match="does not answer as DecayProduct.score does"):
        export(model, tmp_path)
    model.table.assign(table * np.float32("nan"))
    with pytest.raises(ValueError, match="1 weights of the model hold NaN or infinity .such as"):
        export(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_refuses_what_a_stock_server_cannot_run(make_model, tmp_path):
    model, _ = make_model(INTEGERS, product=False)
    plain = model.score

    def in_python(features, items=None):
        scores = tf.py_function(lambda h: plain({"history": h}), [features["history"]], tf.float32)
        scores = tf.ensure_shape(scores, [None, len(INTEGERS)])
        return scores if items is None else tf.gather(scores, items - 1, batch_dims=1)

    model.score = in_python
    with pytest.raises(ValueError, match="No stock TensorFlow Serving .* EagerPyFunc"):
        export(model, tmp_path)
    model.score = tf.function(plain, jit_compile=True)
    with pytest.raises(ValueError, match="No stock TensorFlow Serving .* jit_compile=True"):
        export(model, tmp_path)
    assert list(tmp_path.iterdir()) == []
