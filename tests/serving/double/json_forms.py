"""JSON requests and answers of REST, by the rules of tensorflow_serving/util/json_tensor.cc."""

import base64
import json
import math
import re

import numpy as np

from tests.serving.capi import DTYPES, Signature
from tests.serving.double.models import Refused

MOST_WHOLE_FLOAT = 2**24 - 1


def signature_name(body: bytes) -> tuple[dict, str]:
    """The parsed request, and which signature it is for."""
    if not body:
        raise _invalid("JSON Parse error: The document is empty")
    try:
        request = json.loads(body)  # NaN and Infinity too, as the server's parser.
    except ValueError as error:
        raise _invalid(f"JSON Parse error: Invalid value. at offset: {error}") from error
    if not isinstance(request, dict):
        raise _invalid(f"JSON Value: {request} Is not object")
    name = request.get("signature_name", "")
    if not isinstance(name, str):
        raise _invalid("'signature_name' key must be a string value.")
    return request, name


def inputs_of(request: dict, signature: Signature) -> tuple[dict[str, np.ndarray], bool]:
    """The tensors of a request, and whether it is in the row format."""
    if "instances" in request:
        if "inputs" in request:
            raise _invalid("Not formatted correctly expecting only one of 'inputs' or 'instances'")
        return _of_rows(request["instances"], signature), True
    if "inputs" in request:
        return _of_columns(request["inputs"], signature), False
    raise _invalid("Missing 'inputs' or 'instances' key")


def _of_rows(instances, signature: Signature) -> dict[str, np.ndarray]:
    if not isinstance(instances, list):
        raise _invalid("Excepting 'instances' to be an list/array")
    if not instances:
        raise _invalid("No values in 'instances' array")
    named = _is_object(instances[0])
    if not isinstance(instances[0], dict) and len(signature.inputs) > 1:
        raise _invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors "
            "required as per tensorinfo_map"
        )
    tensors: dict[str, list[np.ndarray]] = {}
    for i, row in enumerate(instances):
        if _is_object(row) != named:
            found, wanted = ("object", "value/list") if not named else ("list", "object")
            raise _invalid(f"Expecting {wanted} but got {found} at item {i} of input list")
        values = row if named else {next(iter(signature.inputs)): row}
        for name in values:
            if name not in signature.inputs:
                raise _invalid(f"JSON object: does not have named input: {name}")
        if set(values) != set(signature.inputs):
            keys = ",".join(sorted(signature.inputs))
            raise _invalid(f"Failed to process element: {i} must only have keys: {keys}")
        for name, value in values.items():
            tensor = _tensor(value, signature.inputs[name].dtype)
            before = tensors.setdefault(name, [])
            if before and before[0].shape != tensor.shape:
                raise _invalid(f"Expecting shape {before[0].shape} but got: {tensor.shape}")
            before.append(tensor)
    return {name: np.stack(rows) for name, rows in tensors.items()}


def _of_columns(inputs, signature: Signature) -> dict[str, np.ndarray]:
    if not _is_object(inputs):
        if len(signature.inputs) > 1:
            raise _invalid("inputs is a plain value/list, but expecting an object")
        ((name, info),) = signature.inputs.items()
        return {name: _tensor(inputs, info.dtype)}
    tensors = {}
    for name, info in signature.inputs.items():  # Other keys are not looked at.
        if name not in inputs:
            raise _invalid(f"Missing named input: {name} in 'inputs' object.")
        tensors[name] = _tensor(inputs[name], info.dtype)
    return tensors


def _is_object(value) -> bool:
    return isinstance(value, dict) and not (set(value) == {"b64"} and isinstance(value["b64"], str))


def _tensor(value, dtype: int) -> np.ndarray:
    """An array of the shape that the first elements have; all others must have it too."""
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    flat: list = []
    _fill(value, 0, shape, np.dtype(DTYPES[dtype]), flat)
    array = np.empty(len(flat), DTYPES[dtype])
    array[:] = flat
    return array.reshape(shape)


def _fill(value, level: int, shape: list[int], dtype: np.dtype, flat: list) -> None:
    if isinstance(value, list):
        if level >= len(shape):
            raise _invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        if len(value) != shape[level]:
            raise _invalid(
                f"Encountered list at unexpected size: {len(value)} at level: {level} expected "
                f"size: {shape[level]}"
            )
        for each in value:
            _fill(each, level + 1, shape, dtype, flat)
        return
    if level != len(shape):
        raise _invalid(f"JSON Value: {value} found at incorrect level: {level + 1}")
    flat.append(_entry(value, dtype))


def _entry(value, dtype: np.dtype):
    whole = isinstance(value, int) and not isinstance(value, bool)
    if dtype.kind == "O":
        if isinstance(value, dict):
            try:
                return base64.b64decode(value["b64"], validate=True)
            except (KeyError, TypeError, ValueError) as error:
                raise _invalid("Unable to base64 decode") from error
        fits = isinstance(value, str)
        value = value.encode() if fits else value
    elif dtype.kind == "f":
        fits = whole or isinstance(value, float)
        if whole and abs(value) > MOST_WHOLE_FLOAT:
            raise _invalid(f"Cannot convert JSON value: {value} to float without loss of precision")
    elif dtype.kind == "b":
        fits = isinstance(value, bool)
    else:
        fits = whole and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max
    if not fits:
        raise _invalid(f"JSON Value: {json.dumps(value)} is not of expected type: {dtype.name}")
    return value


def answer_of(outputs: dict[str, np.ndarray], by_rows: bool) -> str:
    """The JSON text of an answer: a bare list where there is one output alone."""
    if not by_rows:
        columns = {name: _text(values, name) for name, values in outputs.items()}
        return f'{{\n    "outputs": {_one_or_object(columns)}\n}}'
    sizes = {values.shape[0] if values.ndim else 0 for values in outputs.values()}
    if len(sizes) > 1 or 0 in sizes:
        raise _invalid(f"Tensors have inconsistent or invalid batch sizes: {sorted(sizes)}")
    rows = [
        _one_or_object({name: _text(values[i], name) for name, values in outputs.items()})
        for i in range(*sizes)
    ]
    return f'{{\n    "predictions": [{", ".join(rows)}]\n}}'


def _one_or_object(texts: dict[str, str]) -> str:
    if len(texts) == 1:
        return next(iter(texts.values()))
    return "{" + ", ".join(f"{json.dumps(name)}: {text}" for name, text in texts.items()) + "}"


def _text(values, name: str) -> str:
    if isinstance(values, np.ndarray) and values.ndim:
        return "[" + ", ".join(_text(each, name) for each in values) + "]"
    if isinstance(values, bytes):
        if name.endswith("_bytes"):
            return json.dumps({"b64": base64.b64encode(values).decode()})
        return json.dumps(values.decode(), ensure_ascii=False)
    if isinstance(values, np.floating):
        return _decimal(values)
    return json.dumps(values.item())


def _decimal(value: np.floating) -> str:
    """Six digits where they are enough, else as many as tell the number; never strict JSON."""
    if not np.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    text = f"{value:.6g}"
    if type(value)(text) != value:
        text = f"{value:.{9 if value.dtype == np.float32 else 17}g}"
    return text if re.search(r"[.e]", text) else text + ".0"


def _invalid(message: str) -> Refused:
    return Refused("INVALID_ARGUMENT", message)
