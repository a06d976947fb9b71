"""Checks the type of each field of a manifest: a file from a stranger is data."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

_DTYPES = ("int32", "int64", "float32", "string", "bool")
_LARGEST = 2**31


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _file(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"assets/[^/\\]+", value) is not None


def _id(value: Any) -> bool:
    return type(value) in (int, str)


_ALWAYS: dict[str, Callable[[Any], bool]] = {
    "tfrecs": _text,
    "tensorflow": _text,
    "model": _text,
    "compute_dtype": _text,
    "operations": lambda value: isinstance(value, list) and all(map(_text, value)),
}
# Of exports that recommend, and of those that know users by their id.
_ITEMS: dict[str, Callable[[Any], bool]] = {
    "num_items": _count,
    "max_history": _count,
    "k": lambda value: _count(value) and value > 0,
    "num_exclusions": _count,
    "index": lambda value: value in ("exact", "scann"),
    "recommend_known": lambda value: isinstance(value, bool),
    "id_dtype": lambda value: value in ("int64", "string"),
    "padding_id": _id,
    "vocabulary": _file,
}
_USERS: dict[str, Callable[[Any], bool]] = {
    "num_users": _count,
    "user_id_dtype": lambda value: value in ("int64", "string"),
    "user_padding_id": _id,
    "user_vocabulary": _file,
}


def check_fields(manifest: dict[str, Any], path: Path) -> None:
    """Refuses a manifest in which a field is missing or is not what it must be.

    Args:
        manifest: Its content.
        path: Where it is from.

    Raises:
        ValueError: At the first such field; the message names it.
    """

    def need(fine: Any, field: str, what: str = "is missing, or not what it must be") -> None:
        if not fine:
            raise ValueError(f"{path} is damaged: {field} {what}. Export the model again.")

    groups = [_ALWAYS]
    groups += [group for name, group in (("k", _ITEMS), ("num_users", _USERS)) if name in manifest]
    for group in groups:
        for field, fits in group.items():
            need(field in manifest and fits(manifest[field]), field)
    for group, kind, padding in (
        (_ITEMS, "id_dtype", "padding_id"),
        (_USERS, "user_id_dtype", "user_padding_id"),
    ):
        if kind in manifest and group in groups:
            wanted = int if manifest[kind] == "int64" else str
            need(type(manifest[padding]) is wanted, padding)
    files = manifest.get("files")
    need(isinstance(files, dict) and files, "files")
    assert isinstance(files, dict)
    for name, checksum in files.items():
        need(_inside(name), "files", f"names {name!r}, which is not in the export")
        need(isinstance(checksum, str) and re.fullmatch("[0-9a-f]{64}", checksum), f"files.{name}")
    for field in ("vocabulary", "user_vocabulary"):
        need(field not in manifest or manifest[field] in files, field, "is no file of the export")
    signatures = manifest.get("signatures")
    need(isinstance(signatures, dict) and "serving_default" in signatures, "signatures")
    assert isinstance(signatures, dict)
    for name, signature in signatures.items():
        sides = (
            [signature.get(side) for side in ("inputs", "outputs")] if _is_dict(signature) else []
        )
        need(len(sides) == 2 and all(map(_is_dict, sides)), f"signatures.{name}")
        for tensors in sides:
            for tensor, described in tensors.items():
                need(_describes(described), f"signatures.{name}.{tensor}")
    goldens = manifest.get("golden")
    need(isinstance(goldens, list) and goldens, "golden", "is missing or empty")
    assert isinstance(goldens, list)
    for number, golden in enumerate(goldens, 1):
        field = f"golden answer {number}"
        need(_is_dict(golden) and golden.get("signature") in signatures, field)
        signature = signatures[golden["signature"]]
        for side in ("inputs", "outputs"):
            given = golden.get(side)
            need(_is_dict(given) and given and set(given) == set(signature[side]), field)
    tried = {golden["signature"] for golden in goldens}
    for name in signatures:
        # DeepCross has one signature under two names.
        need(
            name in tried or signatures[name] in [signatures[t] for t in tried], f"golden of {name}"
        )


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _inside(name: str) -> bool:
    parts = name.split("/")
    return bool(name) and "\\" not in name and not {"", ".", ".."} & set(parts)


def _describes(tensor: Any) -> bool:
    if not isinstance(tensor, dict) or tensor.get("dtype") not in _DTYPES:
        return False
    shape = tensor.get("shape")
    return isinstance(shape, list) and all(size is None or _count(size) for size in shape)
