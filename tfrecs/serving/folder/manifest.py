"""The manifest of an export: what it holds, what it must answer, and the sha256 of every file.

TensorFlow does not check the graph and assets that it loads: a flipped bit in `saved_model.pb`
often goes unnoticed. The checksums find such damage, also in the manifest. They do not prove who
wrote an export: sign the manifest where that matters. In golden requests null stands for NaN.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

# TensorFlow Serving leaves this folder of a SavedModel alone.
MANIFEST = Path("assets.extra") / "tfrecs_manifest.json"
FORMAT = 2
_LARGEST_MANIFEST = 1 << 28


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Writes `content` with the checksums of all other files in `folder`, and of itself."""
    path = folder / MANIFEST
    path.parent.mkdir(exist_ok=True)
    files = {
        name: _sha256(folder / name)
        for name in sorted(_files(folder))
        if name != MANIFEST.as_posix()
    }
    manifest = {"format": FORMAT, **content, "files": files}
    manifest["sha256"] = seal(manifest)
    # One line a key is readable, and short although answers hold many numbers.
    lines = [
        f"{json.dumps(key)}: {json.dumps(value, allow_nan=False, ensure_ascii=False)}"
        for key, value in manifest.items()
    ]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read_manifest(folder: Path, *, verify: bool = True) -> dict[str, Any]:
    """Reads the manifest of the export in `folder`, and checks it and the files that it lists.

    Args:
        folder: The folder of an export.
        verify: Whether to compare the checksums of all files.

    Raises:
        ValueError: There is no manifest, it cannot be read, or a field is wrong; or a file is
            missing, altered, not listed, or no plain file.
    """
    path = folder / MANIFEST
    found = set(_files(folder))  # Checked before any is opened: a pipe would never end.
    if MANIFEST.as_posix() not in found:
        raise ValueError(
            f"{folder} is a SavedModel that tfrecs did not export: {MANIFEST} is missing."
        )
    if path.stat().st_size > _LARGEST_MANIFEST:
        raise ValueError(f"{path} is larger than any manifest. Export the model again.")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        form = manifest["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}). Export the model again.") from error
    if form != FORMAT:
        raise ValueError(
            f"{path} has format {form!r}, this tfrecs reads {FORMAT}: use the tfrecs it names "
            f"({manifest.get('tfrecs', 'unknown')}), or export the model again."
        )
    if manifest.get("sha256") != seal(manifest):
        raise ValueError(
            f"{path} is damaged: it is not what was exported (sha256). Copy or export it again."
        )
    check_fields(manifest, path)
    if verify:
        _check_files(folder, manifest["files"], found - {MANIFEST.as_posix()})
    return manifest


def raw_ids(vocabulary: Path) -> frozenset[str]:
    """Returns the ids in a vocabulary's file, as text."""
    return frozenset(vocabulary.read_bytes().decode().split("\n")[:-1])


def _check_files(folder: Path, files: dict[str, str], found: set[str]) -> None:
    for name, expected in files.items():
        if name not in found:
            raise ValueError(f"{folder} is incomplete: {name} is missing. Copy or export it again.")
        if _sha256(folder / name) != expected:
            raise ValueError(
                f"{folder} is damaged: {name} differs from the file that was exported (sha256). "
                "Copy or export it again."
            )
    more = sorted(found - set(files))
    if more:
        raise ValueError(
            f"{folder} holds {more[0]}{f' and {len(more) - 1} files more' if more[1:] else ''}, "
            "which was not exported. Remove it, or copy or export the model again."
        )


def _files(folder: Path) -> Iterator[str]:
    """The names of all files below a folder; refuses links, pipes and other special files."""
    pending = [folder]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    pending.append(Path(entry.path))
                elif stat.S_ISREG(mode):
                    yield Path(entry.path).relative_to(folder).as_posix()
                else:
                    kind = "a link" if stat.S_ISLNK(mode) else "no plain file"
                    raise ValueError(
                        f"{entry.path} is {kind}, and an export holds files alone. Copy or export "
                        "the model again."
                    )


def seal(manifest: dict[str, Any]) -> str:
    """Returns the checksum of a manifest, apart from the checksum that it holds."""
    content = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


_DTYPES = ("int32", "int64", "float32", "string", "bool")
_LARGEST_COUNT = 2**31


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST_COUNT


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _file(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"assets/[^/\\]+", value) is not None


_ALWAYS: dict[str, Callable[[Any], bool]] = {
    "tfrecs": _text,
    "tensorflow": _text,
    "model": _text,
    "compute_dtype": _text,
    "operations": lambda value: isinstance(value, list) and all(map(_text, value)),
}
# Fields of exports that recommend, and fields of exports that know users by their id.
_ITEMS: dict[str, Callable[[Any], bool]] = {
    "num_items": _count,
    "max_history": _count,
    "k": lambda value: _count(value) and value > 0,
    "num_exclusions": _count,
    "index": lambda value: value in ("exact", "scann"),
    "recommend_known": lambda value: isinstance(value, bool),
    "id_dtype": lambda value: value in ("int64", "string"),
    "vocabulary": _file,
}
_USERS: dict[str, Callable[[Any], bool]] = {
    "num_users": _count,
    "user_id_dtype": lambda value: value in ("int64", "string"),
    "user_vocabulary": _file,
}


def check_fields(manifest: dict[str, Any], path: Path) -> None:
    """Refuses a manifest in which a field is missing or wrong; the error names it."""

    def need(fine: Any, field: str, what: str = "is missing, or not what it must be") -> None:
        if not fine:
            raise ValueError(f"{path} is damaged: {field} {what}. Export the model again.")

    def need_all(fields: Mapping[str, Callable[[Any], bool]]) -> None:
        for field, fits in fields.items():
            need(field in manifest and fits(manifest[field]), field)

    need_all(_ALWAYS)
    precision = manifest.get("item_precision", "float32")  # Older exports have none.
    need(precision in ("float32", "float16", "int8"), "item_precision")
    for first, fields, prefix in (("k", _ITEMS, ""), ("num_users", _USERS, "user_")):
        if first in manifest:
            need_all(fields)
            wanted = int if manifest[f"{prefix}id_dtype"] == "int64" else str
            padding = f"{prefix}padding_id"
            need(type(manifest.get(padding)) is wanted, padding)
    files = manifest.get("files")
    need(isinstance(files, dict) and files, "files")
    assert isinstance(files, dict)
    for name, checksum in files.items():
        need(_inside(name), "files", f"names {name!r}, which is not in the export")
        need(isinstance(checksum, str) and re.fullmatch("[0-9a-f]{64}", checksum), f"files.{name}")
    for field in ("vocabulary", "user_vocabulary"):
        inside = field not in manifest or (_file(manifest[field]) and manifest[field] in files)
        need(inside, field, "is no file of the export")
    signatures = manifest.get("signatures")
    need(isinstance(signatures, dict) and "serving_default" in signatures, "signatures")
    assert isinstance(signatures, dict)
    for name, signature in signatures.items():
        need(_is_dict(signature), f"signatures.{name}")
        for side in ("inputs", "outputs"):
            need(_is_dict(signature.get(side)), f"signatures.{name}")
            for tensor, described in signature[side].items():
                need(_describes(described), f"signatures.{name}.{tensor}")
    if "k" in manifest:
        default = signatures["serving_default"]
        need("item_id" in default["outputs"], "signatures.serving_default")
        need("user_id" not in default["inputs"] or "num_users" in manifest, "num_users")
    goldens = manifest.get("golden")
    need(isinstance(goldens, list) and goldens, "golden", "is missing or empty")
    assert isinstance(goldens, list)
    for number, golden in enumerate(goldens, 1):
        field = f"golden answer {number}"
        need(_is_dict(golden) and _text(golden.get("signature")), field)
        need(golden["signature"] in signatures, field)
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
