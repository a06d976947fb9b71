"""Asks TensorFlow Serving by gRPC, through the stubs of `tensorflow-serving-api`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfrecs.serving.client.answers import (
    LARGEST,
    Deadline,
    ServingError,
    Signatures,
    signatures_of,
    understood,
)

_OPTIONS = [
    # gRPC allows 4 MB by default: about 5,000 rows of a hundred items and scores.
    ("grpc.max_receive_message_length", LARGEST),
    ("grpc.max_send_message_length", -1),
    # By default gRPC waits up to two minutes before it tries a server again.
    ("grpc.max_reconnect_backoff_ms", 2000),
]


class GrpcTransport:
    """Requests to one model by gRPC.

    Args:
        address: `host:port`, or another target of gRPC.
        model: The model's name.
        version: The version to ask; None for the newest.
        label: The version's label, instead of its number.
        credentials: `grpc.ChannelCredentials` of a secure channel; None for plain text.

    Raises:
        ImportError: The stubs are not installed.
    """

    def __init__(
        self,
        address: str,
        model: str,
        version: int | None,
        label: str | None,
        credentials: Any = None,
    ) -> None:
        try:
            import grpc
            from tensorflow_serving.apis import (
                get_model_metadata_pb2,
                get_model_status_pb2,
                model_pb2,
                model_service_pb2_grpc,
                predict_pb2,
                prediction_service_pb2_grpc,
            )
        except ImportError as error:
            raise ImportError(
                f"gRPC needs TensorFlow Serving's client stubs, and they cannot be imported "
                f"({error}). Run: pip install 'tfrecs[serving]'. REST needs nothing more: "
                "Client('http://localhost:8501', ..)."
            ) from error
        # The stubs have imported TensorFlow already, for its tensors.
        import tensorflow as tf

        self.where = address
        self._tf, self._grpc = tf, grpc
        if credentials is None:
            self._channel = grpc.insecure_channel(address, _OPTIONS)
        else:
            self._channel = grpc.secure_channel(address, credentials, _OPTIONS)
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._messages = (predict_pb2, get_model_metadata_pb2, get_model_status_pb2)
        self._spec = model_pb2.ModelSpec(name=model)
        if version is not None:
            self._spec.version.value = version
        elif label is not None:
            self._spec.version_label = label

    def predict(
        self,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        signatures: Signatures,
        deadline: Deadline,
    ) -> dict[str, np.ndarray]:
        """Returns the outputs of a signature; a gRPC answer includes their types."""
        request = self._messages[0].PredictRequest(model_spec=self._spec)
        request.model_spec.signature_name = signature
        for name, values in inputs.items():
            request.inputs[name].CopyFrom(self._tf.make_tensor_proto(values))
        answer = self._call(self._predictions.Predict, request, deadline)
        with understood(self.where):
            return {
                name: _readable(name, self._tf.make_ndarray(tensor))
                for name, tensor in answer.outputs.items()
            }

    def metadata(self, deadline: Deadline) -> tuple[int, Signatures]:
        """Returns the version's number and its signatures."""
        from google.protobuf import json_format

        messages = self._messages[1]
        request = messages.GetModelMetadataRequest(model_spec=self._spec)
        request.metadata_field.append("signature_def")
        answer = self._call(self._predictions.GetModelMetadata, request, deadline)
        served = messages.SignatureDefMap()
        with understood(self.where):
            answer.metadata["signature_def"].Unpack(served)
            content = json_format.MessageToDict(served, preserving_proto_field_name=True)
            return answer.model_spec.version.value, signatures_of(content)

    def status(self, deadline: Deadline) -> list[dict[str, Any]]:
        """Returns what the server says of each version, as JSON has it."""
        from google.protobuf import json_format

        request = self._messages[2].GetModelStatusRequest(model_spec=self._spec)
        answer = self._call(self._models.GetModelStatus, request, deadline)
        with understood(self.where):
            return [json_format.MessageToDict(each) for each in answer.model_version_status]

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def _call(self, method: Callable[..., Any], request: Any, deadline: Deadline) -> Any:
        try:
            return method(request, timeout=deadline.left)
        except self._grpc.RpcError as error:
            raise ServingError(error.code().name, error.details() or "", self.where) from error


def _readable(name: str, values: np.ndarray) -> np.ndarray:
    """Decodes the strings of an output, unless its name ends in `_bytes`, as over REST."""
    if values.dtype != object or name.endswith("_bytes"):
        return values
    texts = [raw.decode() for raw in values.ravel()]
    return np.array([*texts, None], object)[:-1].reshape(values.shape)
