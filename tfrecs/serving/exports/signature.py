"""What a signature of an export takes and gives: raw ids and other raw values."""

from __future__ import annotations

import dataclasses
import keyword
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from tfrecs._keras import tf
from tfrecs.data import Vocabulary

Raw = Mapping[str, Any]

# Integers are read as a column, strings as whole lines: they may hold any character.
_ENTRY = 0
_LINE = tf.lookup.TextFileIndex.WHOLE_LINE
_NUMBER = tf.lookup.TextFileIndex.LINE_NUMBER


def padding_id(ids: Vocabulary) -> int | str:
    """The raw id that stands for none: "" or -1, or the next lower integer that is no id."""
    return "" if not ids.is_integer else _free(ids, -1)


def unknown_id(ids: Vocabulary) -> int | str:
    """A raw id that is not in the vocabulary and not `padding_id`."""
    # No id is white space, which counts as missing.
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
            # On some systems names that differ only in case are one file.
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
    return at_places(ids, recent_places(ids, length), 0)


def recent_places(ids: tf.Tensor, length: int) -> tf.Tensor:
    """Returns where the last ids of each row are that are not 0, for `at_places`.

    Args:
        ids: `[batch, time]`, 0 anywhere.
        length: How many to find: the result is `[batch, length]`.
    """
    ids = tf.pad(ids, [[0, 0], [length, 0]])
    position = tf.range(tf.shape(ids)[1])
    return tf.math.top_k(tf.where(ids > 0, position, -1), length).indices[:, ::-1]


def at_places(values: tf.Tensor, places: tf.Tensor, missing: Any) -> tf.Tensor:
    """Returns `[batch, length]` values at the places from `recent_places`, `missing` where none is.

    Args:
        values: `[batch, time]`, beside the ids.
        places: `[batch, length]`.
        missing: What stands for padding.
    """
    padding = [[0, 0], [places.shape[1], 0]]
    values = tf.pad(values, padding, constant_values=tf.constant(missing, values.dtype))
    return tf.gather(values, places, batch_dims=1)


def _table(
    ids: Vocabulary, path: Path, keys: tuple[Any, int], values: tuple[Any, int], default: Any
) -> Any:
    initializer = _Vocabulary(str(path), *keys, *values, vocab_size=len(ids))
    initializer.fingerprint = ids.fingerprint()
    return tf.lookup.StaticHashTable(initializer, default)


class _Vocabulary(tf.lookup.TextFileInitializer):  # type: ignore[misc]
    """A table's content, named in the graph by its fingerprint and not by a temporary path."""

    fingerprint = ""

    @property
    def _shared_name(self) -> str:
        return f"vocabulary_{self.fingerprint}_{self._key_index}_{self._value_index}"


@dataclasses.dataclass(frozen=True)
class RawInput:
    """An input of a signature: raw values of one column, one or several a row.

    Args:
        column: The column's name in the data.
        kind: The kind of column (`tfrecs.data.Column`), "Id" or "Ids".
        dtype: Type of the values.
        shape: Shape of a batch.
        missing: What stands for a missing value, or pads a row of several.
        unknown: An id that no vocabulary has, for inputs of ids.
        beside: The input of lists that has an item for each value of this one's lists; None for an
            input by itself.
    """

    column: str
    kind: str
    dtype: Any
    shape: tuple[int | None, ...]
    missing: int | float | str
    unknown: int | str | None = None
    beside: str | None = None

    @classmethod
    def of_ids(
        cls, column: str, kind: str, ids: RawIds, rank: int = 1, width: int | None = None
    ) -> RawInput:
        """Returns the input of a column of raw ids: one a row or, with `rank` 2, several."""
        shape = (None,) if rank == 1 else (None, width)
        return cls(column, kind, ids.dtype, shape, ids.padding, ids.unknown)

    def description(self) -> dict[str, Any]:
        """Returns the entry of the manifest, with NaN as a string, which JSON lacks as a number."""
        missing = "NaN" if self.missing != self.missing else self.missing
        more = {"unknown": self.unknown, "beside": self.beside}
        return {
            "dtype": self.dtype.name,
            "shape": list(self.shape),
            "column": self.column,
            "kind": self.kind,
            "missing": missing,
            **{name: value for name, value in more.items() if value is not None},
        }


class Signature:
    """A function of raw values by which a SavedModel answers requests.

    Args:
        function: Takes the inputs by name, and gives tensors by name.
        inputs: The inputs by name.
        about: What the manifest says of outputs, beside their type and shape.
    """

    def __init__(
        self,
        function: Callable[[Raw], dict[str, tf.Tensor]],
        inputs: Mapping[str, RawInput],
        about: Mapping[str, dict[str, Any]] | None = None,
    ) -> None:
        specs = {name: tf.TensorSpec(x.shape, x.dtype, name=name) for name, x in inputs.items()}
        self.inputs = dict(inputs)

        def answer(raw: Raw) -> dict[str, tf.Tensor]:
            return function(self._checked(raw))

        self.function = tf.function(answer, input_signature=[specs])
        self._about = about or {}

    def _checked(self, raw: Raw) -> dict[str, tf.Tensor]:
        """The values, checked for the shapes of the inputs and for equal numbers of rows."""
        # A TensorFlow session feeds any shape, whatever a signature says.
        values = {name: tf.ensure_shape(raw[name], x.shape) for name, x in self.inputs.items()}
        sizes = tf.stack([tf.shape(tensor)[0] for tensor in values.values()])
        equal = tf.debugging.Assert(
            tf.reduce_all(sizes == sizes[0]),
            [f"Inputs differ in their number of rows ({', '.join(values)}):", sizes],
        )
        with tf.control_dependencies([equal]):
            return {name: tf.identity(tensor) for name, tensor in values.items()}

    @property
    def variables(self) -> list[tf.Variable]:
        """The variables that the function reads."""
        return list(self.function.get_concrete_function().graph.variables)

    def description(self) -> dict[str, Any]:
        """Returns the entry of the manifest; null in a shape means any size."""
        outputs = self.function.get_concrete_function().structured_outputs
        return {
            "inputs": {name: given.description() for name, given in self.inputs.items()},
            "outputs": {
                name: {
                    "dtype": tensor.dtype.name,
                    "shape": tensor.shape.as_list(),
                    **self._about.get(name, {}),
                }
                for name, tensor in outputs.items()
            },
        }


def tensor_name(column: str, taken: Collection[str] = ()) -> str:
    """Returns the column's name as a Python name outside `taken`, as TensorFlow wants it."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", column)
    if not name[:1].isalpha():
        name = f"column_{name}"
    while keyword.iskeyword(name) or name == "self" or name in taken:
        name += "_"
    return name
