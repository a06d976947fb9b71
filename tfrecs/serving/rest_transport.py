"""TensorFlow Serving's REST: JSON over HTTP, with nothing but Python's own library and NumPy."""

from __future__ import annotations

import base64
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfrecs.serving.served_signatures import Signatures, signatures_of
from tfrecs.serving.serving_error import ServingError

# The server's own table, backwards; 400 may be FAILED_PRECONDITION or OUT_OF_RANGE as well.
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class RestTransport:
    """Requests to one model by REST.

    Args:
        address: `http://host:port` or `https://..`; a path before `/v1` is kept.
        model: The model's name.
        version: Which version to ask; None for the newest.
        label: The version's label, in place of its number.
    """

    def __init__(self, address: str, model: str, version: int | None, label: str | None) -> None:
        self.where = address.rstrip("/")
        self._url = f"{self.where}/v1/models/{urllib.parse.quote(model, safe='')}"
        if version is not None:
            self._url += f"/versions/{version}"
        elif label is not None:
            self._url += f"/labels/{urllib.parse.quote(label, safe='')}"

    def predict(
        self,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        signatures: Signatures,
        seconds: float,
    ) -> dict[str, np.ndarray]:
        """Returns the outputs of a signature.

        Args:
            signature: Its name.
            inputs: What it takes; strings as objects.
            signatures: What the server says of its signatures.
            seconds: How long to wait.
        """
        # By columns: an object for each row would repeat the names, and rows of one input alone
        # have another form.
        columns = {name: values.tolist() for name, values in inputs.items()}
        body = json.dumps({"signature_name": signature, "inputs": columns}).encode()
        found = self._json(":predict", body, seconds)["outputs"]
        about = signatures.get(signature, {}).get("outputs", {})
        if not isinstance(found, dict):  # Of one output alone the name is left out.
            found = {next(iter(about)): found}
        return {name: _array(values, about.get(name, {})) for name, values in found.items()}

    def metadata(self, seconds: float) -> tuple[int, Signatures]:
        """Returns the version's number and its signatures."""
        found = self._json("/metadata", None, seconds)
        version = int(found["model_spec"]["version"])
        return version, signatures_of(found["metadata"]["signature_def"])

    def status(self, seconds: float) -> list[dict[str, Any]]:
        """Returns what the server says of each version, as JSON has it."""
        return self._json("", None, seconds)["model_version_status"]

    def close(self) -> None:
        """Nothing is held open."""

    def _json(self, path: str, body: bytes | None, seconds: float) -> dict[str, Any]:
        text = self._text(path, body, seconds)
        try:
            # Python reads NaN and Infinity, which are no JSON and which the server writes.
            return json.loads(text)
        except ValueError as error:
            raise ServingError(
                "INTERNAL", f"The answer is no JSON ({error}): {text[:200]!r}", self.where
            ) from error

    def _text(self, path: str, body: bytes | None, seconds: float) -> str:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._url + path, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=seconds) as response:
                return response.read().decode()
        except urllib.error.HTTPError as error:
            code = _CODES.get(error.code, "UNKNOWN")
            raise ServingError(code, _message(error, seconds), self.where) from error
        except (OSError, http.client.HTTPException) as error:
            # Of a connection that is not made in time, URLError tells only in its reason.
            if isinstance(getattr(error, "reason", error), TimeoutError):
                message = f"No answer within {seconds:g} s"
                raise ServingError("DEADLINE_EXCEEDED", message, self.where) from error
            raise ServingError("UNAVAILABLE", str(error) or repr(error), self.where) from error


def _message(error: urllib.error.HTTPError, seconds: float) -> str:
    """What a server says of an error; a proxy may say it in HTML."""
    try:
        text = error.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return f"HTTP {error.code} {error.reason}"
    try:
        return str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {error.code} {error.reason} {text[:500].strip()}".strip()


def _array(values: Any, about: Mapping[str, Any]) -> np.ndarray:
    """An output as an array of its type; strings are objects."""
    dtype = about.get("dtype")
    if dtype != "string":
        return np.array(values, dtype)
    # NumPy takes an object for each string, also for those that are bytes.
    array = np.array(values, object)
    for i, value in enumerate(array.ravel()):
        if isinstance(value, dict):
            array.ravel()[i] = base64.b64decode(value["b64"])
    return array
