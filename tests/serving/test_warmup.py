"""The warmup file, read by the messages of TensorFlow Serving and by the export itself."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.serving.prediction_log import PredictionLog
from tfrecs._keras import tf
from tfrecs.data import Rows, Schema, Vocabulary
from tfrecs.models import DeepCross, SASRec
from tfrecs.serving import export


def warmup(folder):
    path = Path(folder, "assets.extra", "tf_serving_warmup_requests")
    return [record.numpy() for record in tf.data.TFRecordDataset(str(path))]


def manifest(folder):
    return json.loads(Path(folder, "assets.extra", "tfrecs_manifest.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    items = Vocabulary([f"Ünïcode {i}" for i in range(30)])
    model = SASRec(items, dim=4, num_blocks=1, max_length=40, seed=2)
    return export(model, tmp_path_factory.mktemp("exports") / "films", k=3)


def test_each_signature_in_several_batch_sizes_and_all_are_answered(exported):
    records = [PredictionLog.FromString(record) for record in warmup(exported)]
    content, model = manifest(exported), tf.saved_model.load(exported)
    asked = []
    for record in records:
        assert record.WhichOneof("log_type") == "predict_log"
        request = record.predict_log.request
        name = request.model_spec.signature_name
        assert request.model_spec.name == "films"
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        described = content["signatures"][name]["inputs"]
        assert set(inputs) == set(described)
        tensors = {key: tf.constant(x, described[key]["dtype"]) for key, x in inputs.items()}
        answer = model.signatures[name](**tensors)
        sizes = {len(x) for x in [*inputs.values(), *answer.values()]}
        assert len(sizes) == 1
        asked.append((name, *sizes))
    signatures = ["serving_default", "score", "query_vectors", "item_vectors"]
    assert sorted(asked) == sorted((name, size) for name in signatures for size in (1, 8, 64))
    assert len(records) <= 1000


def test_the_same_bytes_as_the_real_messages_would_have(exported):
    for record in warmup(exported):
        again = PredictionLog.FromString(record).SerializeToString(deterministic=True)
        assert len(again) == len(record)


def test_the_package_of_tensorflow_serving_reads_them(exported):
    log = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    for record in warmup(exported):
        message = log.PredictionLog.FromString(record)
        request = message.predict_log.request
        assert request.model_spec.name == "films"
        assert request.model_spec.signature_name in manifest(exported)["signatures"]
        for tensor in request.inputs.values():
            assert len(tf.make_ndarray(tensor)) in (1, 8, 64)


def test_rows_with_missing_numbers(tmp_path):
    frame = pd.DataFrame({"age": [31.0, 58.0], "liked": [1, 0]})
    schema = Schema.from_frame(frame, label="liked")
    model = DeepCross(schema, dim=4, cross_layers=1, deep_units=[4], seed=1)
    model.adapt(Rows.from_frame(frame, schema))
    requests = [
        PredictionLog.FromString(record).predict_log.request
        for record in warmup(export(model, tmp_path))
    ]
    names = [request.model_spec.signature_name for request in requests]
    assert sorted(names) == ["score"] * 3 + ["serving_default"] * 3
    ages = tf.make_ndarray(requests[1].inputs["age"])
    assert ages.dtype == np.float32
    assert np.isnan(ages).tolist() == [False, False, False, True] * 2
