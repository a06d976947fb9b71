"""The manifest of an export: what it holds, what it must answer, and the sha256 of every file.

TensorFlow checks neither the graph nor the assets that it loads (a flipped bit in `saved_model.pb`
often goes unnoticed), so the checksums do. They tell damage, not an author: sign the manifest where
the origin of a model matters. In golden requests null stands for NaN.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

# TensorFlow Serving leaves this folder of a SavedModel alone.
MANIFEST = Path("assets.extra") / "tfrecs_manifest.json"
FORMAT = 1


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Writes `content` with the checksums of all other files in `folder`.

    Args:
        folder: A complete SavedModel.
        content: What else the manifest says.
    """
    path = folder / MANIFEST
    path.parent.mkdir(exist_ok=True)
    files = {
        file.relative_to(folder).as_posix(): _sha256(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file != path
    }
    # One line a key: readable, and short although the answers hold many numbers.
    lines = [
        f"{json.dumps(key)}: {json.dumps(value, allow_nan=False, ensure_ascii=False)}"
        for key, value in {"format": FORMAT, **content, "files": files}.items()
    ]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def read_manifest(folder: Path, *, verify: bool = True) -> dict[str, Any]:
    """Reads a manifest and checks the files that it lists.

    Args:
        folder: The folder of an export.
        verify: Whether to compare the checksums of all files.

    Returns:
        The manifest's content.

    Raises:
        ValueError: There is no manifest, it cannot be read, or a file is missing or altered.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        form, files = manifest["format"], dict(manifest["files"])
        for name in ("signatures", "golden"):
            manifest[name]
    except FileNotFoundError as error:
        raise ValueError(
            f"{folder} is a SavedModel that tfrecs did not export: {MANIFEST} is missing."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}). Export the model again.") from error
    if form != FORMAT:
        raise ValueError(
            f"{path} has format {form!r}, this tfrecs reads {FORMAT}: use the tfrecs it names "
            f"({manifest.get('tfrecs', 'unknown')}), or export the model again."
        )
    for name, expected in files.items() if verify else ():
        file = folder / name
        if not file.is_file():
            raise ValueError(f"{folder} is incomplete: {name} is missing. Copy or export it again.")
        if _sha256(file) != expected:
            raise ValueError(
                f"{folder} is damaged: {name} differs from the file that was exported (sha256). "
                "Copy or export it again."
            )
    return manifest


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
