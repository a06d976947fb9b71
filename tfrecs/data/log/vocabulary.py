"""Raw ids to the int32 ids that models use, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs.configured import registered
from tfrecs.data.log.ids import parse_ids


@registered
class Vocabulary:
    """The ids 1..n that stand for n raw ids; 0 is padding and n + 1 is out of vocabulary.

    Raw ids are integers or strings, by the rule of `tfrecs.data.log.ids`: 17 and "17" are one id.

    Args:
        ids: 1-D, distinct raw ids. `ids[i]` gets the id i + 1.

    Raises:
        ValueError: If an id is missing, stands twice, or holds a line break.

    Example:
        >>> items = Vocabulary(["milk", "bread"])
        >>> items.encode(["bread", "caviar"])
        array([2, 3], dtype=int32)
        >>> items.decode([2, 1])
        array(['bread', 'milk'], dtype=object)
    """

    def __init__(self, ids: Iterable[Any]) -> None:
        values, missing = parse_ids(_as_array(ids))
        if missing.any():
            raise ValueError(
                f"Vocabulary: the id at position {missing.argmax()} is missing (None, NaN or an "
                "empty string). Remove it: unknown ids have the id `oov_id`."
            )
        self._index = pd.Index(values, dtype=values.dtype)
        if not self._index.is_unique:
            twice = self._index[self._index.duplicated()].tolist()[0]
            raise ValueError(
                f"Vocabulary: {twice!r} stands twice. Pass distinct ids, or any values to "
                "`Vocabulary.from_values`."
            )
        if values.dtype == object:
            broken = pc.match_substring_regex(pa.array(values, pa.string()), "[\r\n]")
            if pc.any(broken).as_py():
                raise ValueError(
                    f"Vocabulary: {values[broken.index(True).as_py()]!r} holds a line break. "
                    "Vocabularies are written one id a line, so replace it before building one."
                )
        if len(values) >= np.iinfo(np.int32).max - 1:
            raise ValueError(f"Vocabulary: {len(values)} ids are more than int32 can number.")
        values.setflags(write=False)
        self.ids = values

    @classmethod
    def from_values(cls, values: Any) -> Vocabulary:
        """Returns the vocabulary of a column's distinct values, sorted.

        Args:
            values: 1-D raw ids, in any order and with repetitions.

        Raises:
            ValueError: If a value is missing.

        Example:
            >>> Vocabulary.from_values([30, 10, 30]).ids
            array([10, 30])
        """
        distinct, missing = parse_ids(
            pd.Series(values if isinstance(values, pd.Series) else _as_array(values)).unique()
        )
        if missing.any():
            raise ValueError("Vocabulary.from_values: a value is missing. Drop such rows first.")
        return cls(np.sort(pd.unique(distinct)))

    @property
    def is_integer(self) -> bool:
        """Whether raw ids are int64, not strings."""
        return self.ids.dtype == np.int64

    @property
    def padding_id(self) -> int:
        """The id of padding: 0."""
        return 0

    @property
    def oov_id(self) -> int:
        """The id of every raw id that is not in the vocabulary: n + 1."""
        return len(self.ids) + 1

    def encode(self, raw: Any) -> np.ndarray:
        """Returns the int32 ids of raw ids; `oov_id` for unknown and missing ones.

        Args:
            raw: Raw ids of any shape, or one raw id. The result has the same shape.

        Example:
            >>> Vocabulary([10, 20]).encode([[20, 99], ["10", None]])
            array([[2, 3],
                   [1, 3]], dtype=int32)
        """
        array = raw if isinstance(raw, pd.Series) else _as_array(raw)
        flat = pd.Series(array if array.ndim == 1 else array.ravel())
        if self.is_integer and flat.dtype.kind in "iu" and not flat.hasnans:
            found = self._index.get_indexer(flat.to_numpy())
        else:
            codes, distinct = pd.factorize(flat)
            found = self._text_index.get_indexer(pd.Index(_texts(distinct), dtype=object))
            found = np.append(found, -1)[codes]
        ids = found.astype(np.int32) + np.int32(1)
        ids[ids == 0] = self.oov_id
        return ids.reshape(array.shape)

    def decode(self, ids: Any) -> np.ndarray:
        """Returns the raw ids, int64 or object (of `str`), of ids of any shape.

        Raises:
            ValueError: If an id is not in 1..n, such as padding (0) or `oov_id`.
        """
        ids = np.asarray(ids)
        if ids.size and (ids.dtype.kind not in "iu"):
            raise ValueError(f"Vocabulary.decode: ids are integers, these are {ids.dtype}.")
        outside = (ids < 1) | (ids > len(self.ids))
        if outside.any():
            raise ValueError(
                f"Vocabulary.decode: {ids[outside].flat[0]} has no raw id: ids go from 1 to "
                f"{len(self.ids)}, 0 is padding and {self.oov_id} is out of vocabulary."
            )
        return self.ids[ids.astype(np.int64) - 1]

    def grow(self, values: Any) -> Vocabulary:
        """Returns this vocabulary followed by a column's new raw ids, sorted.

        Known raw ids keep their numbers, so a model keeps their rows. Without new ids the result is
        this vocabulary.

        Args:
            values: 1-D raw ids, in any order and with repetitions.

        Example:
            >>> Vocabulary([20, 10]).grow([10, 40, 30]).ids
            array([20, 10, 30, 40])
        """
        distinct = Vocabulary.from_values(values).ids
        new = distinct[self.encode(distinct) == self.oov_id]
        return Vocabulary([*self.ids.tolist(), *new.tolist()]) if len(new) else self

    def fingerprint(self) -> str:
        """Returns the sha256 of the ids and their kind: equal for equal vocabularies only."""
        kind = b"int64\n" if self.is_integer else b"str\n"
        return hashlib.sha256(kind + self._lines().encode()).hexdigest()

    def save(self, path: str | Path) -> None:
        """Writes the ids as UTF-8 text, one a line, id 1 first."""
        Path(path).write_bytes(self._lines().encode())

    @classmethod
    def load(cls, path: str | Path) -> Vocabulary:
        """Returns the vocabulary that `save` wrote."""
        text = Path(path).read_bytes().decode()
        return cls(np.array(text.split("\n")[:-1], object))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, ready for JSON."""
        return {"ids": self.ids.tolist()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Vocabulary:
        """Returns the vocabulary that `get_config` described."""
        return cls(**config)

    def _lines(self) -> str:
        return "".join(f"{value}\n" for value in self.ids.tolist())

    @cached_property
    def _text_index(self) -> pd.Index:
        return pd.Index(_texts(self.ids), dtype=object)

    def __len__(self) -> int:
        return len(self.ids)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self.ids.dtype == other.ids.dtype and np.array_equal(self.ids, other.ids)

    def __hash__(self) -> int:
        return hash((len(self), self.fingerprint()))

    def __repr__(self) -> str:
        kind = "integers" if self.is_integer else "strings"
        return f"Vocabulary({len(self)} {kind})"


def _as_array(values: Any) -> np.ndarray:
    """Returns an array; strings and mixtures as objects, as numpy would turn 1 into "1"."""
    if isinstance(values, pd.Series | pd.Index):
        return values.to_numpy()
    if hasattr(values, "numpy"):  # a tensor
        return values.numpy()
    if isinstance(values, Iterable) and not isinstance(values, str | bytes | np.ndarray):
        values = list(values)
    array = np.asarray(values)
    return array if array.dtype.kind in "iuf" else np.asarray(values, object)


def _texts(values: Any) -> np.ndarray:
    """Returns each raw id as a string, a missing one as ""."""
    ids, missing = parse_ids(values)
    texts = ids.astype(str).astype(object) if ids.dtype == np.int64 else ids.copy()
    texts[missing] = ""
    return texts
