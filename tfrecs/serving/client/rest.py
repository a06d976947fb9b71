"""TensorFlow Serving's REST: JSON over HTTP, with nothing but Python's own library and NumPy."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
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

# The server's table, reversed; 400 may also be FAILED_PRECONDITION or OUT_OF_RANGE.
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
        version: The version to ask; None for the newest.
        label: The version's label, instead of its number.
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
        deadline: Deadline,
    ) -> dict[str, np.ndarray]:
        """Returns the outputs of a signature, in the types of `signatures`."""
        # Columns do not repeat the names of inputs, and have one form for any number of inputs.
        columns = {name: values.tolist() for name, values in inputs.items()}
        body = json.dumps({"signature_name": signature, "inputs": columns}).encode()
        with understood(self.where):
            found = self._json(":predict", body, deadline)["outputs"]
            about = signatures.get(signature, {}).get("outputs", {})
            if not isinstance(found, dict):  # The server leaves out the name of a single output.
                found = {next(iter(about)): found}
            return {name: _array(values, about.get(name, {})) for name, values in found.items()}

    def metadata(self, deadline: Deadline) -> tuple[int, Signatures]:
        """Returns the version's number and its signatures."""
        with understood(self.where):
            found = self._json("/metadata", None, deadline)
            version = int(found["model_spec"]["version"])
            return version, signatures_of(found["metadata"]["signature_def"])

    def status(self, deadline: Deadline) -> list[dict[str, Any]]:
        """Returns what the server says of each version, as JSON has it."""
        with understood(self.where):
            return list(self._json("", None, deadline)["model_version_status"])

    def close(self) -> None:
        """Does nothing: no connection is held open."""

    def _json(self, path: str, body: bytes | None, deadline: Deadline) -> dict[str, Any]:
        text = self._text(path, body, deadline)
        try:
            # Python reads the NaN and Infinity that the server writes, although JSON has neither.
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ServingError(
                "INTERNAL", f"The answer is no JSON ({error}): {text[:200]!r}", self.where
            ) from error

    def _text(self, path: str, body: bytes | None, deadline: Deadline) -> str:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._url + path, body, headers)
        with _Cut(deadline) as cut:
            opener = urllib.request.build_opener(*cut.handlers, _NoRedirect)
            try:
                with opener.open(request, timeout=deadline.left) as response:
                    text = _bounded(response).decode()
                if deadline.is_over:  # A connection that was cut looks like the end of a body.
                    raise deadline.passed()
                return text
            except urllib.error.HTTPError as error:
                code = _CODES.get(error.code, "UNKNOWN")
                raise ServingError(code, _message(error), self.where) from error
            except (OSError, http.client.HTTPException, UnicodeDecodeError) as error:
                # URLError holds the timeout of a connection attempt in its reason.
                if deadline.is_over or isinstance(getattr(error, "reason", error), TimeoutError):
                    raise deadline.passed() from error
                raise ServingError("UNAVAILABLE", str(error) or repr(error), self.where) from error


class _Cut:
    """Cuts the connection when the deadline passes, however slowly the server drips.

    A socket's own timeout starts again with every byte.
    """

    def __init__(self, deadline: Deadline) -> None:
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(deadline.left, self._cut)
        self._timer.daemon = True
        self.handlers = [self._handler(urllib.request.HTTPHandler, http.client.HTTPConnection)]
        if hasattr(http.client, "HTTPSConnection"):
            self.handlers.append(
                self._handler(urllib.request.HTTPSHandler, http.client.HTTPSConnection)
            )

    def _handler(self, handler: type, connection: type) -> Any:
        sockets = self._sockets

        class Connection(connection):  # type: ignore[misc, valid-type]
            def connect(self) -> None:
                super().connect()
                sockets.append(self.sock)  # The connection drops it before the body is read.

        class Handler(handler):  # type: ignore[misc, valid-type]
            def do_open(self, http_class: Any, request: Any, **more: Any) -> Any:
                return super().do_open(Connection, request, **more)

        return Handler()

    def _cut(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> _Cut:
        self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: TensorFlow Serving sends none, and a request would lose its body."""

    def redirect_request(self, *arguments: Any) -> None:
        """Follows none."""
        return


def _bounded(response: Any) -> bytes:
    """The whole body, unless it is larger than an answer can be."""
    body = response.read(LARGEST + 1)
    if len(body) > LARGEST:
        raise http.client.HTTPException(f"the answer has more than {LARGEST:,} bytes")
    return body


def _message(error: urllib.error.HTTPError) -> str:
    """The server's error message; a proxy may have written it in HTML."""
    try:
        text = error.read(10_000).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return f"HTTP {error.code} {error.reason}"
    try:
        return str(json.loads(text)["error"])[:2000]
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"HTTP {error.code} {error.reason} {text[:500].strip()}".strip()


def _array(values: Any, about: Mapping[str, Any]) -> np.ndarray:
    """An output as an array of its type; strings are objects."""
    dtype = about.get("dtype")
    if dtype != "string":
        return np.array(values, dtype)
    # An array of objects holds both text and the {"b64": ..} that stands for bytes.
    array = np.array(values, object)
    for i, value in enumerate(array.ravel()):
        if isinstance(value, dict):
            array.ravel()[i] = base64.b64decode(value["b64"])
    return array
