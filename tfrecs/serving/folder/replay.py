"""Loads an export, asks it, and compares its answers with the expected ones."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfrecs._gpu import tensor_float_32
from tfrecs._paths import plain_path
from tfrecs.serving.folder.graph_check import check_graph
from tfrecs.serving.folder.manifest import read_manifest
from tfrecs.serving.folder.versions import find_export

# The share of an answer's largest number that rounding may change: in float32, in fewer bits.
_TOLERANCES = {"float32": 1e-4}
_COARSE = 0.01
_LOWEST = np.finfo(np.float32).min


def load(folder: Path, manifest: Mapping[str, Any]) -> Any:
    """Loads an export, once `check_graph` has found that its graph only computes.

    Raises:
        ValueError: If its graph does more, it needs ScaNN and that cannot be imported, or this
            TensorFlow cannot load it.
    """
    scann = manifest.get("index") == "scann"
    # Not `tfrecs._keras`: an export needs neither Keras nor TFRS.
    import tensorflow as tf

    if scann:
        try:
            from scann import scann_ops  # noqa: F401  (It registers its operations.)
        except Exception as error:  # Beside another TensorFlow it raises tf.errors.NotFoundError.
            raise ValueError(
                f"The export searches by ScaNN, which cannot be imported here ({error}). Install "
                "scann and the TensorFlow that belongs to it, or export with index='exact'."
            ) from error
    check_graph(folder, "Scann" if scann else None)
    logger, quiet = logging.getLogger("absl"), _Forward()
    logger.addFilter(quiet)
    try:
        with plain_path(folder) as plain:
            loaded = tf.saved_model.load(str(plain))
    except Exception as error:  # TensorFlow raises many kinds for a graph that it cannot run.
        raise ValueError(
            f"{folder} was written by TensorFlow {manifest['tensorflow']}, and TensorFlow "
            f"{tf.__version__} cannot load it ({' '.join(str(error).split())[:300]})."
        ) from error
    finally:
        logger.removeFilter(quiet)
    missing = set(manifest["signatures"]) - set(loaded.signatures)
    if missing:
        raise ValueError(f"{folder} has no signature {', '.join(sorted(missing))}.")
    return loaded


class _Forward(logging.Filter):
    """Suppresses TensorFlow's warning that the export has no gradients."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "unsaved custom gradients" not in str(record.msg)


def ask(
    loaded: Any, signature: str, inputs: Mapping[str, Any], described: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Returns the answer of a signature, which the manifest describes, to lists or arrays."""
    import tensorflow as tf

    tensors = {
        name: tf.constant(_numbers(values, dtype), dtype)
        for name, values in inputs.items()
        for dtype in [described["inputs"][name]["dtype"]]
    }
    answer = loaded.signatures[signature](**tensors)
    return {name: tensor.numpy() for name, tensor in answer.items()}


def difference(
    expected: Mapping[str, Any], found: Mapping[str, np.ndarray], compute_dtype: str
) -> str | None:
    """Returns the name of an output that differs beyond rounding; None if none does.

    Args:
        expected: Outputs by name, nested lists or arrays. The ids of a ranking may change places
            among scores that rounding makes equal.
        found: All outputs.
        compute_dtype: The type in which the model computes.
    """
    share = _TOLERANCES.get(compute_dtype, _COARSE)
    for name, values in expected.items():
        got = found[name]
        want = _numbers(values, "float32" if got.dtype.kind == "f" else got.dtype)
        if want.shape != got.shape:
            return name
        if got.dtype.kind == "f":
            if not _close(got, want, share).all():
                return name
        elif not ((got == want) | _near_ties(expected.get("score"), got.shape, share)).all():
            return name
    return None


def _close(got: np.ndarray, want: np.ndarray, share: float) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        size = np.where(want > _LOWEST, np.abs(want), 0).max(initial=0)
    return np.isclose(got, want, rtol=1e-5, atol=share * size + 1e-6, equal_nan=True)


def _near_ties(scores: Any, shape: tuple[int, ...], share: float) -> np.ndarray:
    """Where a ranked list may have another id: the score is a neighbour's, or the last."""
    tied = np.zeros(shape, bool)
    if scores is None or np.shape(scores) != shape or len(shape) != 2 or not tied.size:
        return tied
    ranked = _numbers(scores, "float32")
    size = np.where(ranked > _LOWEST, np.abs(ranked), 0).max(initial=0)
    equal = ranked[:, :-1] - ranked[:, 1:] <= share * size + 1e-6
    tied[:, 1:] |= equal
    tied[:, :-1] |= equal
    tied[:, -1] = ranked[:, -1] > _LOWEST
    return tied


def _numbers(values: Any, dtype: Any) -> np.ndarray:
    """An array of a request or an answer; null is NaN, and strings are bytes."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "if":
        return values.astype(dtype)
    if dtype in ("string", np.dtype(object)):
        raw = np.array(values, object)
        flat = [text.encode() if isinstance(text, str) else text for text in raw.ravel()]
        return np.array([*flat, None], object)[:-1].reshape(raw.shape)
    return np.array(values, dtype)


def verify(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Checks an export: every file by its sha256, and every golden request by its answer.

    It needs no data, no run, neither Keras nor TFRS, and runs nothing of the export before it has
    checked the graph. Answers may differ only by rounding from those on the machine that exported,
    which may have another kind of device: both compute in full float32, without TF32.

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
            with tensor_float_32(False):
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
