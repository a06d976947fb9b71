"""The contract double itself: the rules of TensorFlow Serving that clients meet, each once.

What is expected is what json_tensor_test.cc, http_rest_api_handler_test.cc and predict_util_test.cc
of github.com/tensorflow/serving expect, or what their sources say.
"""

import json
import urllib.error
import urllib.request

import pytest

pytest.importorskip("tensorflow_serving", reason="the extra `serving` is not installed")

import grpc
import numpy as np
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.serving import by_hand
from tests.serving.double.server import ContractDouble
from tfrecs._keras import tf

pytestmark = pytest.mark.usefixtures("no_proxies")


@pytest.fixture(scope="module")
def double(tmp_path_factory):
    base = tmp_path_factory.mktemp("by_hand")
    by_hand.save(base, 3)
    for name in (".tmp-4-1", "latest", "-5"):
        (base / name).mkdir()
    with ContractDouble(base) as double:
        yield double


@pytest.fixture
def post(double):
    """Sends JSON text by REST; gives the status and what was answered."""

    def send(body, path="/v1/models/model:predict"):
        request = urllib.request.Request(double.rest + path, body.encode() or None, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())["error"]

    return send


def odd(**request):
    return json.dumps({"signature_name": "odd", **request})


def test_rows_and_columns(post):
    status, by_rows = post(odd(instances=[{"number": 1}, {"number": 2}]))
    assert status == 200
    rows = json.loads(by_rows)["predictions"]
    status, by_columns = post(odd(inputs={"number": [1, 2]}))
    columns = json.loads(by_columns)["outputs"]
    assert [row["tenth"] for row in rows] == columns["tenth"] == [0.1, 0.2]
    assert columns["same"] == [1, 2]
    assert columns["raw_bytes"] == [{"b64": "/wA="}] * 2
    assert columns["text"] == ["Ünïcode \"'\n"] * 2
    assert "[NaN, Infinity, -Infinity]" in by_columns
    # Of one input a plain list does.
    assert json.loads(post(odd(instances=[1, 2]))[1])["predictions"][1]["same"] == 2
    assert json.loads(post(odd(inputs=[1, 2]))[1])["outputs"]["same"] == [1, 2]


def test_one_output_is_a_bare_list(post):
    inputs = {"history": [[1]], "user_id": [{"b64": "ZmFu"}], "candidates": [[2, 3]]}
    body = json.dumps({"signature_name": "score", "inputs": inputs})
    assert json.loads(post(body)[1]) == {"outputs": [[102.0, 103.0]]}
    row = {name: values[0] for name, values in inputs.items()}
    body = json.dumps({"signature_name": "score", "instances": [row, row]})
    assert json.loads(post(body)[1]) == {"predictions": [[102.0, 103.0]] * 2}


def test_keys(post):
    status, message = post(odd(instances=[{"number": 1, "more": 2}]))
    assert (status, "does not have named input: more" in message) == (400, True)
    assert post(odd(inputs={"number": [1], "more": [2]}))[0] == 200  # not looked at
    status, message = post(odd(inputs={"more": [2]}))
    assert (status, "Missing named input: number" in message) == (400, True)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "The document is empty"),
        ("{", "JSON Parse error"),
        ("[1]", "Is not object"),
        (odd(), "Missing 'inputs' or 'instances' key"),
        (odd(inputs=[1], instances=[1]), "only one of 'inputs' or 'instances'"),
        (odd(instances=[]), "No values in 'instances' array"),
        (odd(instances={"number": 1}), "to be an list/array"),
        (odd(instances=[1.0]), "not of expected type: int64"),
        (odd(instances=[2**63]), "not of expected type: int64"),
        (odd(instances=[True]), "not of expected type: int64"),
        (odd(instances=["1"]), "not of expected type: int64"),
        (odd(instances=[1, [2]]), "Expecting shape () but got: (1,)"),
        (odd(inputs=[[1], [2, 3]]), "Encountered list at unexpected size: 2"),
        (odd(inputs=[[1], 2]), "found at incorrect level: 2"),
        (odd(instances=[{"number": 1}, 2]), "Expecting object but got"),
        ('{"signature_name": 5, "inputs": [1]}', "'signature_name' key must be a string"),
        ('{"signature_name": "even", "inputs": [1]}', '"even" not found in signature def'),
        ('{"inputs": [[1]]}', "expecting an object"),
        (odd(inputs=[[1]]), "is not compatible with expected shape"),
    ],
)
def test_refused_by_rest(post, body, message):
    status, found = post(body)
    assert (status, message in found) == (400, True), found


def test_paths(post, double):
    assert post(odd(inputs=[1]), "/v1/models/other:predict")[0] == 404
    assert post(odd(inputs=[1]), "/v1/models/model/versions/3:predict")[0] == 200
    assert post(odd(inputs=[1]), "/v1/models/model/versions/4:predict")[0] == 404
    status, message = post(odd(inputs=[1]), "/v1/models/model:guess")
    assert (status, message) == (400, "Malformed request: POST /v1/models/model:guess")
    # Names that are no numbers are no versions.
    with urllib.request.urlopen(f"{double.rest}/v1/models/model", timeout=20) as response:
        (about,) = json.load(response)["model_version_status"]
    assert about == {
        "version": "3",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }


def predict(double, inputs, output_filter=(), signature="odd"):
    request = predict_pb2.PredictRequest(output_filter=output_filter)
    request.model_spec.name, request.model_spec.signature_name = "model", signature
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    with grpc.insecure_channel(double.grpc) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        try:
            return stub.Predict(request, timeout=20)
        except grpc.RpcError as error:
            return error.code().name, error.details()


NUMBER = np.array([1])


def test_predict_by_grpc(double):
    answer = predict(double, {"number": NUMBER}, ["same"])
    assert answer.model_spec.version.value == 3
    assert list(answer.outputs) == ["same"]
    assert list(answer.outputs["same"].int64_val) == [1]
    everything = predict(double, {"number": NUMBER})
    assert set(everything.outputs) == {"beyond", "raw_bytes", "text", "same", "tenth"}
    default = {
        "history": np.array([[9]]),
        "user_id": np.array(["fan"], object),
        "exclude": np.array([[1, 2, 3]]),
    }
    answer = predict(double, default, signature="")
    assert answer.outputs["item_id"].int64_val[0] == 8


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (({"number": NUMBER, "x": NUMBER},), "INVALID_ARGUMENT", "Sent extra: {x}. Missing but"),
        (({},), "INVALID_ARGUMENT", "0!=1 len({}) != len({number})"),
        (({"x": NUMBER},), "INVALID_ARGUMENT", "alias not found in signature: x."),
        (({"number": [1.0]},), "INVALID_ARGUMENT", "to be int64 but float32 is provided"),
        (({"number": NUMBER}, ["x"]), "INVALID_ARGUMENT", "output tensor alias not found"),
        (({"number": NUMBER}, ["same"] * 2), "INVALID_ARGUMENT", "duplicate output tensor alias"),
        (({}, [], "even"), "FAILED_PRECONDITION", 'Serving signature key "even" not found.'),
    ],
)
def test_refused_by_grpc(double, request_, code, message):
    found, details = predict(double, *request_)
    assert found == code
    assert message in details


def test_metadata_needs_its_field(double):
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = "model"
    with grpc.insecure_channel(double.grpc) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.GetModelMetadata(request, timeout=20)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_no_base_folder_is_an_error_at_once(tmp_path):
    with pytest.raises(FileNotFoundError):
        ContractDouble(tmp_path / "nowhere")
