"""Whether an export is what was exported: its files, and its answers on this machine."""

from __future__ import annotations

import os
from typing import Any

from tfrecs.serving.manifest import read_manifest
from tfrecs.serving.replay import ask, difference, load
from tfrecs.serving.versions import find_export


def verify(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Checks an export: every file by its sha256, and every golden request by its answer.

    Nothing in it is run before its graph has been looked through (`graph_check`). Nothing else is
    needed: no data, no run, and neither Keras nor TFRS. Answers may differ by
    rounding alone from those on the machine that exported.

    Args:
        path: An export, or the folder of its versions, whose newest is checked.

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
    loaded = load(folder, manifest)
    for number, golden in enumerate(manifest["golden"], 1):
        name = golden["signature"]
        try:
            found = ask(loaded, name, golden["inputs"], manifest["signatures"][name])
            wrong = difference(golden["outputs"], found, manifest["compute_dtype"])
        except Exception as error:  # TensorFlow and numpy raise many kinds.
            raise ValueError(
                f"{folder} cannot answer golden request {number}, to {name!r}: "
                f"{' '.join(str(error).split())[:300]}"
            ) from error
        if wrong is not None:
            raise ValueError(
                f"{folder} does not answer as it was exported: {wrong!r} of {name!r} differs from "
                f"the answer to golden request {number}. Its files are intact: look for another "
                "TensorFlow or processor."
            )
    return manifest
