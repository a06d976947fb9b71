"""A model on a server: its signatures, and requests to them, whichever way they travel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfrecs.serving.client.answers import (
    Deadline,
    ServingError,
    Signatures,
    check_answer,
    understood,
)
from tfrecs.serving.client.rest import RestTransport

Request = Callable[[Mapping[str, Any]], dict[str, np.ndarray]]

# Codes that a server may give because another version, with other inputs, has taken over.
_STALE = frozenset({"FAILED_PRECONDITION", "INVALID_ARGUMENT"})


class Connection:
    """Asks one model of one server, and remembers what its signatures take.

    Takes the arguments of `Client` and raises its errors.
    """

    def __init__(
        self,
        address: str,
        model: str,
        version: int | None,
        label: str | None,
        batch_size: int,
        credentials: Any,
    ) -> None:
        if version is not None and label is not None:
            raise ValueError("Give a version or a label, not both.")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}.")
        self._batch_size = batch_size
        self.transport: Any
        if address.startswith(("http://", "https://")):
            if credentials is not None:
                raise ValueError("credentials are those of gRPC; over REST an https:// is enough.")
            self.transport = RestTransport(address, model, version, label)
        else:
            from tfrecs.serving.client.grpc import GrpcTransport

            self.transport = GrpcTransport(address, model, version, label, credentials)
        self._signatures: Signatures = {}

    def ask(self, name: str, request: Request, seconds: float) -> dict[str, np.ndarray]:
        """Asks a signature, and asks again where the model that is served now takes other inputs.

        Args:
            name: The signature's name.
            request: Makes the request, a row along the first axis of each array, from what the
                server says of the signature.
            seconds: How long the whole call may take.

        Raises:
            ServingError: The server refuses, or cannot be reached in time.
            ValueError: There is no such signature, or `request` raised it.
        """
        deadline = Deadline(seconds, self.transport.where)
        signatures = self._signatures or self._asked(deadline)[1]
        try:
            return self._sent(name, signatures, request, deadline)
        except (ServingError, ValueError) as error:
            if isinstance(error, ServingError) and error.code not in _STALE:
                raise
            _, newest = self._asked(deadline)
            if newest == signatures:
                raise
        return self._sent(name, newest, request, deadline)

    def metadata(self, seconds: float) -> tuple[int, Signatures]:
        """Asks the server for the version and its signatures, also where they are kept."""
        return self._asked(Deadline(seconds, self.transport.where))

    def _asked(self, deadline: Deadline) -> tuple[int, Signatures]:
        version, self._signatures = self.transport.metadata(deadline)
        return version, self._signatures

    def predict(
        self, name: str, inputs: Mapping[str, Any], seconds: float
    ) -> dict[str, np.ndarray]:
        """Asks a signature in one request of the given arrays or lists."""
        deadline = Deadline(seconds, self.transport.where)
        signatures = self._signatures or self._asked(deadline)[1]
        wanted = signatures.get(name, {"inputs": {}})["inputs"]
        return self.transport.predict(name, _arrays(inputs, wanted), signatures, deadline)

    def status(self, seconds: float) -> list[dict[str, Any]]:
        """Returns the state of each version, the newest first."""
        where = self.transport.where
        versions = self.transport.status(Deadline(seconds, where))
        with understood(where):
            found = [
                {
                    "version": int(each["version"]),
                    "state": each.get("state", "UNKNOWN"),
                    "code": each.get("status", {}).get("error_code", "OK"),
                    "message": each.get("status", {}).get("error_message", ""),
                }
                for each in versions
            ]
        return sorted(found, key=lambda version: -version["version"])

    def _sent(
        self, name: str, signatures: Signatures, request: Request, deadline: Deadline
    ) -> dict[str, np.ndarray]:
        if name not in signatures:
            raise ValueError(
                f"The served model has no signature {name!r}, only {', '.join(signatures)}."
            )
        arrays = request(signatures[name])
        rows, size = len(next(iter(arrays.values()))), self._batch_size
        outputs, parts = signatures[name]["outputs"], []
        for start in range(0, rows, size):
            part = {key: values[start : start + size] for key, values in arrays.items()}
            answer = self.transport.predict(name, part, signatures, deadline)
            check_answer(answer, outputs, min(size, rows - start), self.transport.where)
            parts.append(answer)
        if not parts:
            return _nothing(outputs)
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _arrays(
    inputs: Mapping[str, Any], wanted: Mapping[str, Mapping[str, Any]]
) -> dict[str, np.ndarray]:
    """Inputs as arrays; a list has no type, and gets the input's if it fits."""
    arrays = {}
    for name, values in inputs.items():
        array, dtype = np.asarray(values), wanted.get(name, {}).get("dtype")
        if not isinstance(values, np.ndarray) and dtype not in (None, "string"):
            fits = not array.size or np.can_cast(array.dtype, dtype, "same_kind")
            array = array.astype(dtype) if fits else array
        arrays[name] = array.astype(object) if array.dtype.kind in "US" else array
    return arrays


def _nothing(outputs: Mapping[str, Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The answer to no rows: the server is not asked, because REST would refuse them."""
    empty = {}
    for name, about in outputs.items():
        shape = [size or 0 for size in (about["shape"] or [0])[1:]]
        dtype = object if about["dtype"] == "string" else about["dtype"]
        empty[name] = np.zeros([0, *shape], dtype)
    return empty
