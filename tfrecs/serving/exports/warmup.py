"""Warmup requests, which TensorFlow Serving asks a version before it lets clients ask.

The file is `assets.extra/tf_serving_warmup_requests`, a TFRecord of `PredictionLog` messages. Their
classes are in the package tensorflow-serving-api, which nothing else here needs, so this module
writes the few fields in their wire format:

    PredictionLog { predict_log = 6 { request = 1 {
        model_spec = 1 { name = 1, signature_name = 3 }
        inputs = 2 { key = 1, value = 2: TensorProto }, ...
    } } }
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfrecs._keras import tf

WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"
# Rows of the requests: one user, and batches as servers make them.
_BATCH_SIZES = (1, 8, 64)


def write_warmup(
    folder: Path, model: str, goldens: Sequence[Mapping[str, Any]], signatures: Mapping[str, Any]
) -> None:
    """Writes requests to each signature, of several batch sizes, with the rows of golden ones.

    Args:
        folder: The SavedModel.
        model: The model's name on the server.
        goldens: The golden requests of the manifest.
        signatures: The signatures of the manifest.
    """
    path = folder / WARMUP
    path.parent.mkdir(exist_ok=True)
    asked = {golden["signature"]: golden["inputs"] for golden in goldens}
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, described in signatures.items():
            # A model that does not recommend answers to `score` by default.
            for size in _BATCH_SIZES:
                inputs = {
                    name: _rows(values, size, described["inputs"][name]["dtype"])
                    for name, values in asked.get(signature, asked.get("score", {})).items()
                }
                writer.write(_prediction_log(model, signature, inputs))


def _rows(values: list[Any], count: int, dtype: str) -> Any:
    """The first `count` rows of an input, which repeats where it has fewer."""
    rows = [values[i % len(values)] for i in range(count)]
    # The manifest's null is None here, which NumPy turns into NaN.
    return tf.make_tensor_proto(np.array(rows, np.float32) if dtype == "float32" else rows, dtype)


def _prediction_log(model: str, signature: str, inputs: Mapping[str, Any]) -> bytes:
    spec = _field(1, model.encode()) + _field(3, signature.encode())
    request = _field(1, spec)
    for name, tensor in inputs.items():
        entry = _field(1, name.encode()) + _field(2, tensor.SerializeToString())
        request += _field(2, entry)
    return _field(6, _field(1, request))


def _field(number: int, content: bytes) -> bytes:
    """A field of a message: its number and wire type 2, its length, its bytes."""
    length = len(content)
    prefix = bytearray([number << 3 | 2])
    while length > 127:  # A varint: seven bits a byte, the lowest first.
        prefix.append(length & 127 | 128)
        length >>= 7
    return bytes([*prefix, length]) + content
