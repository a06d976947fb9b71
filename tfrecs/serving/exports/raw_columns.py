"""Raw values of a schema's columns, encoded in a served graph as `Schema.encode` does."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from functools import cache
from typing import Any

from tfrecs._keras import tf
from tfrecs.data import Categorical, Column, History, Numeric, Schema, Text, Timestamp, Vector
from tfrecs.data.features.events import MISSING_TIME
from tfrecs.data.features.text import TokenizerModule
from tfrecs.data.features.wide_columns import calendar_ids
from tfrecs.serving.exports.signature import (
    Raw,
    RawIds,
    RawInput,
    VocabularyFiles,
    most_recent,
    tensor_name,
)


class RawColumns(tf.Module):  # type: ignore[misc]
    """Gives a graph the arrays that `Schema.encode` gives.

    It takes, by the kind of column:

    - `Categorical`: int64 or strings, as its vocabulary; `[batch]`, or `[batch, n]` with the
      padding after a row's last value. Missing (and padding): `padding_id` of the vocabulary, and
      strings of white space.
    - `Numeric`: float32 `[batch]`, missing NaN.
    - `Vector`: float32 `[batch, size]`, missing zeros or what is not finite.
    - `Timestamp`: int64 `[batch]`, seconds since 1970 UTC, missing `MISSING_TIME`.
    - `Text`: strings `[batch]`, missing "".
    - `History`: int64 or strings `[batch, n]`, oldest first, padded anywhere with `padding_id`.

    Everything is plain TensorFlow, and vocabularies are files that become assets.

    Args:
        schema: The columns; labels are left out.
        files: Where the vocabularies are written.
        taken: Names that other tensors of the signature have.

    Raises:
        ValueError: If a column's kind has no raw form here.
    """

    def __init__(self, schema: Schema, files: VocabularyFiles, taken: Collection[str] = ()) -> None:
        super().__init__(name="raw_columns")
        inputs: dict[str, RawInput] = {}
        encoders = {}
        for column, kind in schema.items():
            if column in schema.labels:
                continue
            name = tensor_name(column, [*taken, *inputs])
            encoders[name] = _encoder(column, kind, files)
            inputs[name] = encoders[name].given
        self.inputs = inputs
        self._encoders = encoders

    def __call__(self, raw: Raw) -> dict[str, tf.Tensor]:
        """Returns the encoded columns by their own names; ignores other raw values."""
        return {
            given.column: self._encoders[name](raw[name]) for name, given in self.inputs.items()
        }


def _encoder(column: str, kind: Column, files: VocabularyFiles) -> Any:
    """The module that encodes a column; its `given` describes the input."""
    for cls, encoder in _ENCODERS.items():
        if isinstance(kind, cls):
            return encoder(column, kind, files)
    raise ValueError(
        f"The column {column!r} is of the kind {type(kind).__name__}, whose raw values an export "
        f"cannot take; it can those of {', '.join(cls.__name__ for cls in _ENCODERS)}."
    )


class _Numbers(tf.Module):  # type: ignore[misc]
    def __init__(self, column: str, kind: Numeric, files: VocabularyFiles) -> None:
        super().__init__(name="numbers")
        self.given = RawInput(column, type(kind).__name__, tf.float32, (None,), kind.missing)

    def __call__(self, raw: tf.Tensor) -> tf.Tensor:
        return raw


class _Vectors(tf.Module):  # type: ignore[misc]
    def __init__(self, column: str, kind: Vector, files: VocabularyFiles) -> None:
        super().__init__(name="vectors")
        self.given = RawInput(column, type(kind).__name__, tf.float32, (None, kind.size), 0.0)

    def __call__(self, raw: tf.Tensor) -> tf.Tensor:
        finite = tf.reduce_all(tf.math.is_finite(raw), axis=1, keepdims=True)
        return tf.where(finite, raw, 0.0)


class _Categories(tf.Module):  # type: ignore[misc]
    def __init__(self, column: str, kind: Categorical, files: VocabularyFiles) -> None:
        super().__init__(name="categories")
        self._ids = RawIds(kind.vocabulary, files, _file_name(column))
        self._most = kind.max_values
        rank = 2 if kind.max_values else 1
        self.given = RawInput.of_ids(column, type(kind).__name__, self._ids, rank)

    def __call__(self, raw: tf.Tensor) -> tf.Tensor:
        if self._most:
            raw = raw[:, : self._most]
        missing = raw == self._ids.padding
        if raw.dtype == tf.string:
            missing |= tf.strings.regex_full_match(raw, _white_space())
        ids = tf.where(missing, 0, self._ids(raw))
        if self._most:
            ids = tf.pad(ids, [[0, 0], [0, self._most - tf.shape(ids)[1]]])
            ids = tf.ensure_shape(ids, [None, self._most])
        return ids


class _Items(tf.Module):  # type: ignore[misc]
    def __init__(self, column: str, kind: History, files: VocabularyFiles) -> None:
        super().__init__(name="items")
        self._ids = RawIds(kind.vocabulary, files, _file_name(column))
        self._length = kind.max_length
        self.given = RawInput.of_ids(column, type(kind).__name__, self._ids, 2)

    def __call__(self, raw: tf.Tensor) -> tf.Tensor:
        ids = tf.where(raw == self._ids.padding, 0, self._ids(raw))
        return most_recent(ids, self._length)


class _Times(tf.Module):  # type: ignore[misc]
    def __init__(self, column: str, kind: Timestamp, files: VocabularyFiles) -> None:
        super().__init__(name="times")
        self._parts = kind.parts
        self.given = RawInput(column, type(kind).__name__, tf.int64, (None,), MISSING_TIME)

    def __call__(self, raw: tf.Tensor) -> tf.Tensor:
        missing = raw == MISSING_TIME
        ids = tf.stack(calendar_ids(tf.where(missing, tf.zeros_like(raw), raw), self._parts), 1)
        return tf.where(missing[:, tf.newaxis], 0, tf.cast(ids, tf.int32))


class _Words(tf.Module):  # type: ignore[misc]
    def __init__(self, column: str, kind: Text, files: VocabularyFiles) -> None:
        super().__init__(name="words")
        words = kind.tokenizer.vocabulary
        ids = RawIds(words, files, _file_name(column), as_text=True)
        self._tokenizer = TokenizerModule(kind.tokenizer.words, kind.max_tokens, ids)
        self.given = RawInput(column, type(kind).__name__, tf.string, (None,), "")

    def __call__(self, raw: tf.Tensor) -> tf.Tensor:
        return self._tokenizer(raw)


_ENCODERS: dict[type[Column], Any] = {
    Categorical: _Categories,
    Numeric: _Numbers,
    Timestamp: _Times,
    Text: _Words,
    History: _Items,
    Vector: _Vectors,
}


def _file_name(column: str) -> str:
    """A file name that every file system takes."""
    return "column_" + re.sub(r"[^A-Za-z0-9_]", "_", column)[:60]


@cache
def _white_space() -> str:
    """The pattern of strings that count as missing: TensorFlow's own trims ASCII alone."""
    spaces = [code for code in range(sys.maxunicode + 1) if chr(code).isspace()]
    return "[" + "".join(rf"\x{{{code:x}}}" for code in spaces) + "]*"
