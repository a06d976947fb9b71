"""Paths that TensorFlow takes as they are."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PATTERN = frozenset("[]*?{}\\")


@contextlib.contextmanager
def plain_path(folder: str | os.PathLike[str]) -> Iterator[Path]:
    r"""A path of a folder for TensorFlow, which reads checkpoints by pattern.

    Within a pattern `[`, `]`, `*`, `?` and `\` stand for other characters, so that a checkpoint in
    such a folder is written and never found again. A link elsewhere leads to the same folder.

    Args:
        folder: A folder that exists.

    Yields:
        The folder's own path, or that of a link which lasts as long as the block.

    Example:
        >>> with plain_path("/tmp") as path:
        ...     print(path)
        /tmp
    """
    folder = Path(folder)
    # A Windows path is full of backslashes, and there they are none of a pattern's.
    if os.name == "nt" or not _PATTERN & set(str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="tfrecs-link-") as scratch:
        link = Path(scratch) / "folder"
        link.symlink_to(folder.resolve(), target_is_directory=True)
        yield link
