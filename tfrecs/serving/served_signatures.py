"""What a server says of a model's signatures, in the form of an export's manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Signatures = dict[str, dict[str, dict[str, dict[str, Any]]]]

_NAMES = {"DT_FLOAT": "float32", "DT_DOUBLE": "float64"}


def signatures_of(served: Mapping[str, Any]) -> Signatures:
    """Returns `{signature: {"inputs": {name: {"dtype": .., "shape": ..}}, "outputs": ..}}`.

    Args:
        served: A `SignatureDefMap` as JSON has it. In the shapes returned None is any size, and a
            shape of None any rank.

    Example:
        >>> size = {"dim": [{"size": "-1"}, {"size": "4"}]}
        >>> info = {"name": "served:0", "dtype": "DT_INT64", "tensor_shape": size}
        >>> signatures = signatures_of({"signature_def": {"best": {"outputs": {"item_id": info}}}})
        >>> signatures["best"]["outputs"]
        {'item_id': {'dtype': 'int64', 'shape': [None, 4]}}
    """
    return {
        name: {way: _tensors(signature.get(way, {})) for way in ("inputs", "outputs")}
        for name, signature in sorted(served["signature_def"].items())
        if not name.startswith("__")  # Such as __saved_model_init_op.
    }


def _tensors(infos: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: _tensor(info) for name, info in sorted(infos.items())}


def _tensor(info: Mapping[str, Any]) -> dict[str, Any]:
    shape = info.get("tensor_shape", {})
    # JSON leaves out zeros, and writes int64 as strings.
    sizes = [int(dim.get("size", 0)) for dim in shape.get("dim", [])]
    dtype = info["dtype"]
    return {
        "dtype": _NAMES.get(dtype, dtype.removeprefix("DT_").lower()),
        "shape": None
        if shape.get("unknown_rank")
        else [None if size < 0 else size for size in sizes],
    }
