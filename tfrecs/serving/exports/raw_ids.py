"""Raw ids in a served graph: from the ids of a request to the ids of models, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfrecs._keras import tf
from tfrecs.data import Vocabulary


def padding_id(ids: Vocabulary) -> int | str:
    """The raw id that stands for none: "" or -1, or the next lower integer that is no id."""
    return "" if not ids.is_integer else _free(ids, -1)


def unknown_id(ids: Vocabulary) -> int | str:
    """A raw id that is not in the vocabulary and not `padding_id`."""
    # No id is white space alone (it would be a missing one).
    return " " if not ids.is_integer else _free(ids, int(padding_id(ids)) - 1)


def _free(ids: Vocabulary, highest: int) -> int:
    while ids.encode(highest) != ids.oov_id:
        highest -= 1
    return highest


class VocabularyFiles:
    """A folder with a file for each vocabulary, an id a line; the files become assets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: dict[str, str] = {}

    def path(self, ids: Vocabulary, name: str) -> Path:
        """Returns the path of a vocabulary's file, written if new; equal ones share a file."""
        fingerprint = ids.fingerprint()
        if fingerprint not in self._names:
            # Names that differ in case alone are one file on some systems.
            taken = {other.lower() for other in self._names.values()}
            while name.lower() in taken:
                name += "_"
            self._names[fingerprint] = name
            ids.save(self._folder / f"{name}.txt")
        return self._folder / f"{self._names[fingerprint]}.txt"


class RawIds(tf.Module):  # type: ignore[misc]
    """Maps raw ids to ids as `Vocabulary.encode` does: 1..n, and n + 1 for every other.

    Args:
        ids: The vocabulary.
        files: Where its file is.
        name: What to call the file.
        as_text: Whether integers come as strings, as the words of a text do.
    """

    def __init__(
        self, ids: Vocabulary, files: VocabularyFiles, name: str, *, as_text: bool = False
    ) -> None:
        super().__init__(name="raw_ids")
        self.path = files.path(ids, name)
        self.dtype = tf.int64 if ids.is_integer and not as_text else tf.string
        self.size = len(ids)
        self.padding = padding_id(ids)
        self.unknown = unknown_id(ids)
        self._lines = None
        if self.size:  # TensorFlow reads no table from an empty file.
            key = _ENTRY if self.dtype == tf.int64 else _LINE
            self._lines = _table(ids, self.path, (self.dtype, key), (tf.int64, _NUMBER), -1)

    def __call__(self, raw: tf.Tensor) -> tf.Tensor:
        """Returns the int32 ids of raw ids of any shape."""
        if self._lines is None:
            return tf.ones_like(raw, tf.int32)
        line = self._lines.lookup(raw)
        return tf.cast(tf.where(line < 0, tf.constant(self.size, tf.int64), line) + 1, tf.int32)


def raw_table(ids: Vocabulary, path: Path) -> Any:
    """Returns the table from ids, less 1, to raw ids; `padding_id` for any other number."""
    raw = (tf.int64, _ENTRY) if ids.is_integer else (tf.string, _LINE)
    return _table(ids, path, (tf.int64, _NUMBER), raw, padding_id(ids))


def most_recent(ids: tf.Tensor, length: int) -> tf.Tensor:
    """Returns the last ids of each row that are not 0, in order, padded on the left with 0.

    Args:
        ids: `[batch, time]`, 0 anywhere.
        length: How many to keep: the result is `[batch, length]`.
    """
    ids = tf.pad(ids, [[0, 0], [length, 0]])
    position = tf.range(tf.shape(ids)[1])
    newest = tf.math.top_k(tf.where(ids > 0, position, -1), length).indices
    return tf.gather(ids, newest[:, ::-1], batch_dims=1)


# Integers are read as a column, strings as whole lines: they may hold any character.
_ENTRY = 0
_LINE = tf.lookup.TextFileIndex.WHOLE_LINE
_NUMBER = tf.lookup.TextFileIndex.LINE_NUMBER


def _table(
    ids: Vocabulary, path: Path, keys: tuple[Any, int], values: tuple[Any, int], default: Any
) -> Any:
    initializer = _Vocabulary(str(path), *keys, *values, vocab_size=len(ids))
    initializer.fingerprint = ids.fingerprint()
    return tf.lookup.StaticHashTable(initializer, default)


class _Vocabulary(tf.lookup.TextFileInitializer):  # type: ignore[misc]
    """A table's content, whose name in the graph tells the content and not a temporary path."""

    fingerprint = ""

    @property
    def _shared_name(self) -> str:
        return f"vocabulary_{self.fingerprint}_{self._key_index}_{self._value_index}"
