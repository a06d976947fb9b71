"""An export serves without tfrecs and Keras: in Python, and through TensorFlow's C API."""

import json
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.public_models import MODELS as PUBLIC
from tests.serving.capi import SavedModel
from tests.serving.public_models import ITEMS, MODELS
from tests.serving.replayed import (
    LIBRARIES,
    REPLAY,
    assert_answers,
    golden_request,
    golden_requests,
    request,
    tensor,
)
from tfrecs._keras import tf
from tfrecs.data import Vocabulary
from tfrecs.models import SASRec
from tfrecs.serving import export

IDS = [11, 5, 300, 42, 8, 77, 6, 1]
ALONE = """
import json, sys
# TensorFlow imports whatever Keras it finds by itself; nothing here may miss it.
absent = dict(keras=None, tf_keras=None, tfrecs=None)
sys.modules.update(absent)
import tensorflow as tf
answers = []
for dtype, folder, inputs in json.load(sys.stdin):
    recommend = tf.saved_model.load(folder).signatures["serving_default"]
    answer = recommend(**{name: tf.constant(x, dtype) for name, x in inputs.items()})
    ids = answer["item_id"].numpy().tolist()
    if dtype == "string":
        ids = [[raw.decode() for raw in row] for row in ids]
    answers.append([ids, answer["score"].numpy().tolist()])
assert {name: sys.modules[name] for name in absent} == absent
print(json.dumps(answers))
"""
needs_library = pytest.mark.skipif(
    not (LIBRARIES / "libtensorflow_cc.so.2").exists(), reason="TensorFlow's C library is elsewhere"
)


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """Exports of SASRec, moved: type of ids -> folder, golden request and answer."""
    base = tmp_path_factory.mktemp("base")
    exports = {}
    for dtype, ids in (("int64", IDS), ("string", [f"Ünïcode {i}" for i in IDS])):
        model = SASRec(Vocabulary(ids), dim=4, num_blocks=1, max_length=3, seed=2)
        folder = base / "elsewhere" / dtype / "7"
        shutil.move(export(model, base / "exports" / dtype, k=6), folder)
        exports[dtype] = folder, golden_requests(folder)[0]
    return exports


@pytest.mark.slow
def test_python_without_tfrecs_and_keras(moved, run_alone):
    requests = [[d, str(f), g["inputs"]] for d, (f, g) in moved.items()]
    answers = json.loads(run_alone("-c", ALONE, stdin=json.dumps(requests)))
    for (_, golden), (ids, scores) in zip(moved.values(), answers, strict=True):
        assert ids == golden["outputs"]["item_id"]
        np.testing.assert_allclose(scores, golden["outputs"]["score"], rtol=1e-5)


@pytest.fixture(scope="module")
def replayed(public_export, run_alone):
    """Answers all golden requests of all public models, by the TensorFlow of a folder."""
    asked = [(name, golden) for name in MODELS for golden in golden_requests(public_export(name))]
    requests = [golden_request(public_export(name), golden) for name, golden in asked]

    def replay(libraries):
        answers = json.loads(run_alone(REPLAY, libraries, stdin=json.dumps(requests)))
        return [(name, golden, a) for (name, golden), a in zip(asked, answers, strict=True)]

    return replay


@pytest.mark.slow
@needs_library
def test_c_api_answers_every_model_as_its_manifest_says(replayed):
    signatures = {}
    for name, golden, answer in replayed(LIBRARIES):
        assert_answers(answer, golden)
        signatures.setdefault(name, set()).add(golden["signature"])
    assert set(signatures) == set(MODELS)
    for name, asked in signatures.items():
        assert not PUBLIC[name].vectors or {"query_vectors", "item_vectors"} <= asked
        assert asked >= {"score" if PUBLIC[name].reads == "rows" else "serving_default"}


def test_another_tensorflow_answers_the_same(replayed):
    other = os.environ.get("TFRECS_OTHER_TENSORFLOW")
    if not other:
        pytest.skip("TFRECS_OTHER_TENSORFLOW names no site-packages folder of another TensorFlow")
    libraries = Path(other) / "tensorflow"
    (about,) = Path(other).glob("tensorflow-2*.dist-info")
    version = about.name.removeprefix("tensorflow-").removesuffix(".dist-info")
    assert version != tf.__version__, "it is the TensorFlow that wrote the exports"
    for _, golden, answer in replayed(libraries):
        assert_answers(answer, golden)


@pytest.mark.slow
@needs_library
@pytest.mark.parametrize("dtype", ["int64", "string"])
def test_c_api_at_the_edges(dtype, moved, run_alone):
    folder, golden = moved[dtype]
    given = {name: np.array(values, object) for name, values in golden["inputs"].items()}
    one = golden["inputs"]["history"][0][0]

    def asked(history, **changed):
        # Of other inputs, as many of the last rows.
        rows = history["shape"][0]
        more = {name: tensor(values[len(values) - rows :]) for name, values in given.items()}
        return request(folder, "serving_default", **{**more, "history": history, **changed})

    requests = [
        golden_request(folder, golden),
        asked(tensor([], [0, 3])),
        asked(tensor([], [1, 0])),
        asked(tensor([one, one], [2])),
        asked(tensor([one], [1, 1, 1])),
    ]
    # Lists of another width than the signature's, and fewer rows of one input than of another.
    lists = {name: values[:1] for name, values in given.items() if name != "history"}
    narrow = {name: tensor(values[:, 1:]) for name, values in lists.items()}
    requests += [asked(tensor([[one]]), **{name: values}) for name, values in narrow.items()]
    fewer = {name: tensor(values) for name, values in lists.items()}
    requests += [asked(tensor([[one], [one]]), **{name: x}) for name, x in fewer.items()]
    out = run_alone(REPLAY, LIBRARIES, stdin=json.dumps(requests))
    answer, nobody, empty_history, *refused = json.loads(out)
    assert_answers(answer, golden)
    assert [values["shape"] for values in nobody["outputs"].values()] == [[0, 6], [0, 6]]
    # A golden row of padding only is the same request.
    last = golden["outputs"]["item_id"][-1]
    assert empty_history["outputs"]["item_id"]["values"] == last
    ranks, widths = refused[:2], refused[2 : 2 + len(narrow)]
    for each in ranks:
        assert "is not compatible with expected shape [?,?]" in each["error"]
    for each in widths:
        assert "is not compatible with expected shape [?," in each["error"]
    for each in refused[2 + len(narrow) :]:
        assert "Inputs differ in their number of rows" in each["error"]


@needs_library
def test_a_session_is_shared_by_threads(public_export):
    folder = public_export("SASRec")
    model = SavedModel(folder, LIBRARIES)
    about = model.signatures["serving_default"]
    assert about.method == "tensorflow/serving/predict"
    assert about.inputs["history"].shape == (-1, -1)
    assert about.outputs["score"].shape == (-1, len(ITEMS))
    rng = np.random.default_rng(0)
    others = {
        name: np.array(values[:1], object)
        for name, values in golden_requests(folder)[0]["inputs"].items()
        if name != "history"
    }
    requests = [{"history": rng.choice(ITEMS.ids, (1, 1 + i % 7)), **others} for i in range(40)]
    want = [model.run("serving_default", inputs) for inputs in requests]
    got = [None] * 8

    def ask(caller):
        got[caller] = [model.run("serving_default", inputs) for inputs in requests]

    threads = [threading.Thread(target=ask, args=[i]) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answers in got:
        for answer, expected in zip(answers, want, strict=True):
            np.testing.assert_array_equal(answer["item_id"], expected["item_id"])
            np.testing.assert_array_equal(answer["score"], expected["score"])
