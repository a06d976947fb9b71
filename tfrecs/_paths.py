"""Paths that TensorFlow does not read as patterns."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PATTERN = frozenset("[]*?{}\\")


@contextlib.contextmanager
def plain_path(folder: str | os.PathLike[str]) -> Iterator[Path]:
    r"""Yields a path of an existing folder by which TensorFlow finds checkpoints.

    TensorFlow reads a checkpoint's path as a pattern. If the path holds `[`, `]`, `*`, `?` or `\`,
    TensorFlow writes the checkpoint and never finds it again. A temporary link then leads to it.

    Example:
        >>> with plain_path("/tmp") as path:
        ...     print(path)
        /tmp
    """
    folder = Path(folder)
    # On Windows a backslash separates folders and is never part of a pattern.
    if os.name == "nt" or not _PATTERN & set(str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="tfrecs-link-") as scratch:
        link = Path(scratch) / "folder"
        link.symlink_to(folder.resolve(), target_is_directory=True)
        yield link
