"""Whether an export is what was exported: its files, and its answers on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tfrecs.serving.manifest import MANIFEST, read_manifest
from tfrecs.serving.replay import ask, difference, load
from tfrecs.serving.versions import find_export


def verify(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Checks an export: every file by its sha256, and every golden request by its answer.

    Nothing else is needed: no data, no run, and neither Keras nor TFRS. Answers may differ by
    rounding alone from those on the machine that exported.

    Args:
        path: An export, or the folder of its versions, of which the newest is checked.

    Returns:
        The manifest.

    Raises:
        FileNotFoundError: There is no export at `path`.
        ValueError: A file is missing, altered or more than was exported; the SavedModel cannot be
            loaded here; or it does not answer as it must.

    Example:
        >>> import tempfile, tfrecs
        >>> items = tfrecs.data.Vocabulary(["milk", "bread", "eggs"])
        >>> model = tfrecs.models.SASRec(items, dim=8, num_blocks=1, max_length=5)
        >>> folder = tfrecs.serving.export(model, tempfile.mkdtemp())
        >>> tfrecs.serving.verify(folder)["model"]
        'SASRec'
    """
    folder = find_export(path)
    manifest = read_manifest(folder)
    known = {*manifest["files"], MANIFEST.as_posix()}
    more = sorted(name for name in _files(folder) if name not in known)
    if more:
        raise ValueError(
            f"{folder} holds {more[0]}{f' and {len(more) - 1} files more' if more[1:] else ''}, "
            "which was not exported. Remove it, or copy or export the model again."
        )
    try:
        loaded = load(folder, manifest)
    except ValueError:
        raise
    except Exception as error:  # Whatever TensorFlow says of a graph that it cannot run.
        import tensorflow as tf

        raise ValueError(
            f"{folder} was written by TensorFlow {manifest['tensorflow']}, and TensorFlow "
            f"{tf.__version__} cannot load it ({error})."
        ) from error
    for number, golden in enumerate(manifest["golden"], 1):
        name = golden["signature"]
        found = ask(loaded, name, golden["inputs"], manifest["signatures"][name])
        wrong = difference(golden["outputs"], found, manifest.get("compute_dtype", "float32"))
        if wrong is not None:
            raise ValueError(
                f"{folder} does not answer as it was exported: {wrong!r} of {name!r} differs from "
                f"the answer to golden request {number}. Its files are intact: look for another "
                "TensorFlow or processor."
            )
    return manifest


def _files(folder: Path) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()]
