"""Version folders `<base>/<number>`, as TensorFlow Serving reads them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path


def versions(base: Path) -> list[int]:
    """Returns the version numbers in `base`, ascending; other names in it are no versions."""
    if not base.is_dir():
        return []
    return sorted(int(p.name) for p in base.iterdir() if _is_version(p.name) and p.is_dir())


def find_export(path: str | os.PathLike[str]) -> Path:
    """Returns the folder of an export, which holds `saved_model.pb`: `path`, or its newest version.

    Raises:
        FileNotFoundError: Nothing is there, or nothing that was exported; or the newest version,
            which a server would choose, is incomplete.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"No export at {path}: there is no such folder.")
    if (path / "saved_model.pb").is_file():
        return path
    found = versions(path)
    if not found:
        raise FileNotFoundError(
            f"{path} is not an export: it holds neither saved_model.pb nor a numbered version "
            "folder. Write one with tfrecs.serving.export or `tfrecs export`."
        )
    newest = path / str(found[-1])
    if not (newest / "saved_model.pb").is_file():
        raise FileNotFoundError(
            f"{newest} is incomplete: saved_model.pb is missing. Copy or export it again, or "
            "remove that folder to go back to an older version."
        )
    return newest


@contextmanager
def new_version(base: Path, version: int | None) -> Iterator[tuple[Path, Path]]:
    """Yields a temporary folder, and `<base>/<version>`, which it becomes when the block ends well.

    A server that watches `base` thus sees a whole version or none: names such as `.tmp-1-4242` are
    no version to it. After an error the folder is removed; after a kill it stays, ignored.

    Args:
        base: Parent of the version folders; made if missing.
        version: The version's number; None for the next one.

    Raises:
        FileExistsError: The version is there already.
        ValueError: The version is not a positive integer.
    """
    if version is not None and (not isinstance(version, Integral) or version < 1):
        raise ValueError(f"version must be a positive integer, not {version!r}.")
    if base.exists() and not base.is_dir():
        raise FileExistsError(f"{base} is a file; exports are folders in a folder.")
    if version is None:
        version = max(versions(base), default=0) + 1
    final = base / str(version)
    _refuse(final)
    temporary = base / f".tmp-{version}-{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)  # A killed process of the same number left it.
    temporary.mkdir(parents=True)
    try:
        yield temporary, final
        _sync(temporary)
        _refuse(final)  # os.rename would replace an empty folder.
        try:
            os.rename(temporary, final)
        except OSError:
            _refuse(final)  # Somebody else was quicker.
            raise
        _sync_one(base)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _is_version(name: str) -> bool:
    return name.isascii() and name.isdecimal() and str(int(name)) == name


def _refuse(folder: Path) -> None:
    if folder.exists():
        raise FileExistsError(
            f"{folder} exists. A served version is never overwritten: leave `version` out for the "
            "next number, or remove that folder first."
        )


def _sync(folder: Path) -> None:
    """Waits until everything below `folder` is on disk, so that no crash leaves half of it."""
    for path in [*folder.rglob("*"), folder]:
        _sync_one(path)


def _sync_one(path: Path) -> None:
    if os.name == "nt":  # Windows opens no folders, and syncs no file opened for reading.
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
