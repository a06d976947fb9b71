"""What a signature of an export takes and gives, for the graph and for the manifest."""

from __future__ import annotations

import dataclasses
import keyword
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from tfrecs._keras import tf
from tfrecs.serving.exports.raw_ids import RawIds, most_recent

Raw = Mapping[str, Any]


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
    """

    column: str
    kind: str
    dtype: Any
    shape: tuple[int | None, ...]
    missing: int | float | str
    unknown: int | str | None = None

    @classmethod
    def of_ids(
        cls, column: str, kind: str, ids: RawIds, rank: int = 1, width: int | None = None
    ) -> RawInput:
        """Returns the input of a column of raw ids: one a row or, with `rank` 2, several."""
        shape = (None,) if rank == 1 else (None, width)
        return cls(column, kind, ids.dtype, shape, ids.padding, ids.unknown)

    def checked(self, values: tf.Tensor) -> tf.Tensor:
        """Returns the values: a TensorFlow session feeds any shape, whatever a signature says."""
        return tf.ensure_shape(values, self.shape)

    def description(self) -> dict[str, Any]:
        """Returns the entry of the manifest, with NaN as a string, which JSON lacks as a number."""
        missing = "NaN" if self.missing != self.missing else self.missing
        unknown = {} if self.unknown is None else {"unknown": self.unknown}
        return {
            "dtype": self.dtype.name,
            "shape": list(self.shape),
            "column": self.column,
            "kind": self.kind,
            "missing": missing,
            **unknown,
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
        specs = {
            name: tf.TensorSpec(given.shape, given.dtype, name=name)
            for name, given in inputs.items()
        }
        self.inputs = dict(inputs)

        def answer(raw: Raw) -> dict[str, tf.Tensor]:
            return function(self._checked(raw))

        self.function = tf.function(answer, input_signature=[specs])
        self._about = about or {}

    def _checked(self, raw: Raw) -> dict[str, tf.Tensor]:
        """The values, checked for the shapes of the inputs and for equal numbers of rows."""
        values = {name: given.checked(raw[name]) for name, given in self.inputs.items()}
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
    """Returns a column's name as TensorFlow takes it: one of Python's names that is not `taken`."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", column)
    if not name[:1].isalpha():
        name = f"column_{name}"
    while keyword.iskeyword(name) or name == "self" or name in taken:
        name += "_"
    return name


class RawQueries(tf.Module):  # type: ignore[misc]
    """Makes a model's features of `history` and `user_id`, as far as it reads them.

    Args:
        items: The raw ids of items.
        users: The raw ids of users; None if the model knows none.
        max_history: How many items of a history the model reads, 0 if none.
    """

    def __init__(self, items: RawIds, users: RawIds | None, max_history: int) -> None:
        super().__init__(name="raw_queries")
        self._max_history = max_history
        self._items, self._users = items, users
        self.inputs: dict[str, RawInput] = {}
        if max_history:
            self.inputs["history"] = RawInput.of_ids("history", "History", items, 2)
        if users is not None:
            self.inputs["user_id"] = RawInput.of_ids("user_id", "Id", users)

    def features(self, raw: Raw) -> dict[str, tf.Tensor]:
        """Returns the model's features from the raw values of `inputs`."""
        features = {}
        if self._max_history:
            features["history"] = most_recent(self.known(raw["history"]), self._max_history)
        if self._users is not None:
            features["user_id"] = self._users(raw["user_id"])
        return features

    def known(self, items: tf.Tensor) -> tf.Tensor:
        """Returns the ids of raw item ids, 0 for an unknown item."""
        ids = self._items(items)
        return tf.where(ids > self._items.size, 0, ids)
