"""An export serves without tfrecs and Keras: in Python, and through TensorFlow's C API."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tfrecs._keras import tf
from tfrecs.data import Vocabulary
from tfrecs.models import SASRec
from tfrecs.serving import export

LIBRARIES = Path(tf.__file__).parent
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


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """Exports of SASRec, moved: type of ids -> folder, golden request and answer."""
    base = tmp_path_factory.mktemp("base")
    exports = {}
    for dtype, ids in (("int64", IDS), ("string", [f"Ünïcode {i}" for i in IDS])):
        model = SASRec(Vocabulary(ids), dim=4, num_blocks=1, max_length=3, seed=2)
        folder = base / "elsewhere" / dtype / "7"
        shutil.move(export(model, base / "exports" / dtype, k=6), folder)
        manifest = json.loads((folder / "assets.extra" / "tfrecs_manifest.json").read_text("utf-8"))
        exports[dtype] = folder, manifest["golden"][0]
    return exports


def test_python_without_tfrecs_and_keras(moved, run_alone):
    requests = [[d, str(f), g["inputs"]] for d, (f, g) in moved.items()]
    answers = json.loads(run_alone("-c", ALONE, stdin=json.dumps(requests)))
    for (_, golden), (ids, scores) in zip(moved.values(), answers, strict=True):
        assert ids == golden["outputs"]["item_id"]
        np.testing.assert_allclose(scores, golden["outputs"]["score"], rtol=1e-5)


def tensor_names(folder):
    """What a client never sees and a session needs: the tensors behind the signature's names."""
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    signature = saved.meta_graphs[0].signature_def["serving_default"]
    assert signature.method_name == "tensorflow/serving/predict"
    outputs = [signature.outputs[name].name for name in ("item_id", "score")]
    return [signature.inputs[name].name for name in ("history", "exclude")], outputs


@pytest.mark.skipif(
    not (LIBRARIES / "libtensorflow_cc.so.2").exists(), reason="TensorFlow's C library is elsewhere"
)
@pytest.mark.parametrize("dtype", ["int64", "string"])
def test_c_api(dtype, moved, run_alone):
    folder, golden = moved[dtype]
    (history, exclude), outputs = tensor_names(folder)

    def request(shape, values, without=None, width=10):
        without = [no] * width * shape[0] if without is None else without
        return {
            "inputs": {
                history: {"dtype": dtype, "shape": shape, "values": values},
                exclude: {"dtype": dtype, "shape": [len(without) // width, width]}
                | {"values": without},
            },
            "outputs": outputs,
        }

    rows, without = (golden["inputs"][name] for name in ("history", "exclude"))
    flat, without = ([item for row in x for item in row] for x in (rows, without))
    one, no = rows[0][0], -1 if dtype == "int64" else ""
    requests = [
        request([len(rows), len(rows[0])], flat, without),
        request([0, 3], []),
        request([1, 0], []),
        request([2], [one, one]),
        request([1, 1, 1], [one]),
        request([1, 1], [one], width=9),
        request([2, 1], [one, one], [no] * 10),
    ]
    out = run_alone(
        Path(__file__).parent / "capi.py",
        LIBRARIES,
        folder,
        stdin=json.dumps(requests),
    )
    answer, nobody, empty_history, *wrong_ranks, wrong_width, two_and_one = json.loads(out)
    ids, scores = (answer[name] for name in outputs)
    assert ids["shape"] == scores["shape"] == [len(rows), 6]
    assert ids["values"] == np.ravel(golden["outputs"]["item_id"]).tolist()
    expected = np.ravel(golden["outputs"]["score"])
    np.testing.assert_allclose(scores["values"], expected, rtol=1e-5)
    assert [nobody[name]["shape"] for name in outputs] == [[0, 6], [0, 6]]
    # A golden row of padding only is the same request.
    assert empty_history[outputs[0]]["values"] == golden["outputs"]["item_id"][-1]
    for answer in wrong_ranks:
        assert "is not compatible with expected shape [?,?]" in answer["error"]
    assert "[1,9] is not compatible with expected shape [?,10]" in wrong_width["error"]
    assert "Inputs differ in their number of rows (history, exclude)" in two_and_one["error"]
