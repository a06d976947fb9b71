"""The contract double: gRPC by the real stubs, REST by its documented forms, on loopback alone.

It is no TensorFlow Serving: it was written from that server's source and stands in for it where no
binary is to be had. What it does not do: batching, classify, regress, multi-inference, retries of a
load, more than one model.
"""

import contextlib
import http.server
import json
import re
import threading
import time
import urllib.parse
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
from google.protobuf import json_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.serving.double import json_forms
from tests.serving.double.models import Refused, Version, Versions
from tfrecs._keras import tf

# http_server.cc: ToHTTPStatusCode.
HTTP = {
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "UNAUTHENTICATED": 401,
}
MODEL = r"/v1/models/([^/:]+)(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?"


class ContractDouble:
    """A server of one model; `grpc` and `rest` are its addresses.

    Args:
        base: The folder of versions.
        name: The model's name.
        poll: Seconds between looks for new versions; None for none.
        specific: Which versions to serve, in place of the newest one.
        labels: Numbers of versions by label.
        port: Of gRPC, for one that comes back; 0 for a free one.

    Attributes:
        delay: Seconds that every prediction takes longer.
        requests: The number of predictions asked for.
    """

    def __init__(
        self,
        base: Path,
        name: str = "model",
        poll: float | None = None,
        specific=(),
        labels=None,
        port: int = 0,
    ) -> None:
        self.versions = Versions(base, name, specific, labels)
        self.delay = 0.0
        self.requests = 0
        self._grpc = grpc.server(
            futures.ThreadPoolExecutor(8), options=[("grpc.max_receive_message_length", 2**31 - 1)]
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            _Predictions(self), self._grpc
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(self), self._grpc)
        self.port = self._grpc.add_insecure_port(f"127.0.0.1:{port}")
        self.grpc = f"127.0.0.1:{self.port}"
        self._rest = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.rest = f"http://127.0.0.1:{self._rest.server_port}"
        self._grpc.start()
        self._thread = threading.Thread(target=self._rest.serve_forever, args=[0.05], daemon=True)
        self._thread.start()
        if poll is not None:
            self.versions.start(poll)

    def __enter__(self) -> "ContractDouble":
        return self

    def __exit__(self, *_) -> None:
        self.versions.stop()
        self._grpc.stop(grace=None).wait(10)
        self._rest.shutdown()
        self._rest.server_close()
        self._thread.join(10)

    def predict(self, version: Version, *request) -> dict[str, np.ndarray]:
        """Runs a signature of a version."""
        self.requests += 1
        time.sleep(self.delay)
        return version.predict(*request)

    def metadata(self, version: Version):
        """The GetModelMetadataResponse of a version."""
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in version.definitions.items():
            signatures.signature_def[name].CopyFrom(definition)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = self.versions.name
        response.model_spec.version.value = version.number
        response.metadata["signature_def"].Pack(signatures)
        return response, signatures

    def status(self, name: str, number: int | None):
        """The GetModelStatusResponse."""
        response = get_model_status_pb2.GetModelStatusResponse()
        for version, (state, code, message) in self.versions.statuses(name, number).items():
            status = response.model_version_status.add(
                version=version, state=get_model_status_pb2.ModelVersionStatus.State.Value(state)
            )
            status.status.error_message = message
            status.status.error_code = getattr(grpc.StatusCode, code).value[0]
        return response


class _Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, double: ContractDouble) -> None:
        self._double = double

    def Predict(self, request, context):
        def answer():
            version = self._double.versions.find(*_wanted(request))
            inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
            found = self._double.predict(
                version, request.model_spec.signature_name, inputs, list(request.output_filter)
            )
            response = predict_pb2.PredictResponse()
            response.model_spec.CopyFrom(request.model_spec)
            response.model_spec.version.value = version.number
            for name, values in found.items():
                response.outputs[name].CopyFrom(_as_fields(values))
            return response

        return _answered(answer, context)

    def GetModelMetadata(self, request, context):
        def answer():
            if not request.metadata_field:
                raise Refused(
                    "INVALID_ARGUMENT",
                    "GetModelMetadataRequest must specify at least one metadata_field",
                )
            for field in request.metadata_field:
                if field != "signature_def":
                    raise Refused("INVALID_ARGUMENT", f"Metadata field {field} is not supported")
            return self._double.metadata(self._double.versions.find(*_wanted(request)))[0]

        return _answered(answer, context)


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, double: ContractDouble) -> None:
        self._double = double

    def GetModelStatus(self, request, context):
        name, number, _ = _wanted(request)
        return _answered(lambda: self._double.status(name, number), context)


def _answered(answer, context):
    try:
        return answer()
    except Refused as refused:
        context.abort(getattr(grpc.StatusCode, refused.code), refused.message)


def _wanted(request) -> tuple[str, int | None, str | None]:
    if not request.HasField("model_spec"):
        raise Refused("INVALID_ARGUMENT", "Missing ModelSpec")
    spec = request.model_spec
    choice = spec.WhichOneof("version_choice")
    number = spec.version.value if choice == "version" else None
    return spec.name, number, spec.version_label if choice == "version_label" else None


def _as_fields(values: np.ndarray):
    """A tensor whose values are in fields of their type, as Tensor::AsProtoField writes it."""
    tensor = tf.make_tensor_proto(values, shape=values.shape)
    if values.dtype != object and tensor.tensor_content:
        tensor.tensor_content = b""
        field = {"float32": "float_val", "int64": "int64_val"}[values.dtype.name]
        getattr(tensor, field).extend(values.ravel().tolist())
    return tensor


def _handler(double: ContractDouble):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_) -> None:
            pass

        def do_GET(self) -> None:
            self._answer(self._about)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer(lambda: self._predicted(body))

        def _answer(self, answer) -> None:
            try:
                status, text = 200, answer()
            except Refused as refused:
                status, text = HTTP.get(refused.code, 500), json.dumps({"error": refused.message})
            raw = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            with contextlib.suppress(ConnectionError):  # A client that waits no longer.
                self.end_headers()
                self.wfile.write(raw)

        def _matched(self, suffix: str) -> tuple[str, int | None, str | None, str]:
            match = re.fullmatch(MODEL + suffix, self.path, re.IGNORECASE)
            if match is None:
                raise Refused("INVALID_ARGUMENT", f"Malformed request: {self.command} {self.path}")
            name, number, label, what = match.groups()
            label = None if label is None else urllib.parse.unquote(label)
            return urllib.parse.unquote(name), None if number is None else int(number), label, what

        def _about(self) -> str:
            name, number, label, what = self._matched(r"(?:/(metadata))?")
            if what is None:
                return json_format.MessageToJson(
                    double.status(name, number), always_print_fields_with_no_presence=True
                )
            response, signatures = double.metadata(double.versions.find(name, number, label))
            spec, served = (
                json_format.MessageToJson(
                    message,
                    always_print_fields_with_no_presence=True,
                    preserving_proto_field_name=True,
                )
                for message in (response.model_spec, signatures)
            )
            return f'{{\n"model_spec":{spec},\n"metadata": {{"signature_def": {served}}}\n}}\n'

        def _predicted(self, body: bytes) -> str:
            name, number, label, what = self._matched(":(classify|regress|predict)")
            if what != "predict":
                raise Refused("UNIMPLEMENTED", f"The double does not {what}.")
            request, signature = json_forms.signature_name(body)
            version = double.versions.find(name, number, label)
            about = version.signatures.get(signature or "serving_default")
            if about is None:
                raise Refused(
                    "INVALID_ARGUMENT",
                    f'Serving signature name: "{signature}" not found in signature def',
                )
            inputs, by_rows = json_forms.inputs_of(request, about)
            return json_forms.answer_of(double.predict(version, signature, inputs), by_rows)

    return Handler
