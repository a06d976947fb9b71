"""Recommendations out of an export, with TensorFlow alone."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable, Sequence
from functools import cached_property
from numbers import Integral
from typing import Any

from tfrecs.serving.manifest import read_manifest
from tfrecs.serving.versions import find_export


class Recommender:
    """Answers from an export: the items to recommend after a history.

    Args:
        path: An export, or the folder of its versions, of which the newest is read.
        verify: Whether to compare every file with the checksum that the export wrote.

    Raises:
        FileNotFoundError: There is no export at `path`.
        ValueError: The export is damaged, or tfrecs did not write it.

    Example:
        >>> import tempfile, tfrecs
        >>> folder = tempfile.mkdtemp()
        >>> items = tfrecs.data.Vocabulary([10, 20, 30])
        >>> model = tfrecs.models.SASRec(items, dim=8, max_length=5)
        >>> export = tfrecs.serving.export(model, folder, k=2)
        >>> recommender = tfrecs.serving.Recommender(folder)
        >>> sorted(item for item, score in recommender.recommend([20], k=2))
        [10, 30]
    """

    def __init__(self, path: str | os.PathLike[str], *, verify: bool = True) -> None:
        # TensorFlow itself, not `tfrecs._keras`: an export needs neither Keras nor TFRS.
        import tensorflow as tf

        self._tf = tf
        self.path = find_export(path)
        self.manifest = read_manifest(self.path, verify=verify)
        self.k: int = self.manifest["k"]
        self.is_integer: bool = self.manifest["id_dtype"] == "int64"
        self._model = tf.saved_model.load(str(self.path))
        self._recommend = self._model.signatures["serving_default"]

    def recommend(self, history: Iterable[Any], k: int = 10) -> list[tuple[int | str, float]]:
        """Recommends items to somebody with this history.

        Args:
            history: Raw ids of what they interacted with, oldest first. Where the export's ids are
                integers, strings of digits are read as such.
            k: How many items to recommend; at most the export's own k.

        Returns:
            `(raw id, score)` of the best items outside the history, best first; fewer than `k`
            where fewer are left.

        Raises:
            ValueError: `k` is less than 1 or more than the export answers with, the history is
                empty or holds no known id, or an id is no integer though the export's are.

        Warns:
            UserWarning: Unknown ids were ignored; it names them. `unknown` tells them beforehand.
        """
        if not isinstance(k, Integral) or k < 1:
            raise ValueError(f"k must be a positive integer, not {k!r}.")
        if self.k < min(k, self.manifest["num_items"]):
            raise ValueError(
                f"k = {k} is more than the {self.k} items that this export answers with. Ask for "
                "fewer, or export the model with a larger k."
            )
        ids = self._parse(history)
        if not ids:
            raise ValueError("The history is empty: give at least one item id.")
        unknown = self.unknown(ids)
        if len(unknown) == len(set(ids)):
            raise ValueError(f"No id of the history is known to this export: {_listed(unknown)}.")
        if unknown:
            warnings.warn(f"Ignored unknown ids: {_listed(unknown)}.", stacklevel=2)
        dtype = self._tf.int64 if self.is_integer else self._tf.string
        answer = self._recommend(history=self._tf.constant([ids], dtype))
        items, scores = answer["item_id"].numpy()[0, :k], answer["score"].numpy()[0, :k]
        raw = items.tolist() if self.is_integer else [item.decode() for item in items]
        pairs = zip(raw, scores.tolist(), strict=True)
        return [pair for pair in pairs if pair[0] != self.manifest["padding_id"]]

    def unknown(self, history: Iterable[Any]) -> list[int | str]:
        """The distinct ids of a history that the export does not know, in order.

        Args:
            history: Raw ids.

        Returns:
            Those that `recommend` would ignore.

        Raises:
            ValueError: An id is no integer though the export's are.
        """
        return [
            item for item in dict.fromkeys(self._parse(history)) if str(item) not in self._known
        ]

    @cached_property
    def _known(self) -> frozenset[str]:
        vocabulary = self.path / self.manifest["vocabulary"]
        return frozenset(vocabulary.read_bytes().decode().split("\n")[:-1])

    def _parse(self, history: Iterable[Any]) -> list[Any]:
        if isinstance(history, str | bytes):
            raise ValueError(f"history must be a list of ids, not one {type(history).__name__}.")
        return [self._parse_one(item) for item in history]

    def _parse_one(self, item: Any) -> int | str:
        if not self.is_integer:
            return item.decode() if isinstance(item, bytes) else str(item)
        whole = int(item) if isinstance(item, float) and item.is_integer() else item
        text = whole.decode() if isinstance(whole, bytes) else str(whole).strip()
        if not re.fullmatch(r"-?[0-9]+", text) or not -(2**63) <= int(text) < 2**63:
            raise ValueError(
                f"{item!r} is not an item id: the ids of this export are integers (int64)."
            )
        return int(text)

    def __repr__(self) -> str:
        """What was loaded, from where."""
        m = self.manifest
        return f"Recommender({str(self.path)!r}: {m['model']}, {m['num_items']} items, k={m['k']})"


def _listed(ids: Sequence[Any], most: int = 10) -> str:
    more = f" and {len(ids) - most} more" if len(ids) > most else ""
    return ", ".join(map(str, ids[:most])) + more
