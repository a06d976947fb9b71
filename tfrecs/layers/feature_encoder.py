"""From the encoded columns of a schema to one vector a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.data import Categorical, FeatureTable, Numeric, Schema, Text, Timestamp
from tfrecs.data.calendar import CALENDAR
from tfrecs.layers.numeric import Discretization, PeriodicEncoding, Squashing
from tfrecs.layers.piecewise import PiecewiseLinearEmbedding
from tfrecs.layers.stacked_embedding import StackedEmbedding
from tfrecs.layers.standardization import Standardization


@keras.utils.register_keras_serializable("tfrecs")
class FeatureEncoder(keras.layers.Layer):
    """Makes one vector a row of the columns of a schema.

    Categories, calendar features and the words of texts (their mean) are embedded by one
    `StackedEmbedding`: one table, one gather. Numbers go through the layer that their column
    names. What columns need of the data is learned by `adapt`. Columns of the kinds `History` and
    `Label` are left alone.

    Args:
        schema: The columns.
        dim: Size of the vectors of categories and of embedded numbers.
        num_bins: Bins of "piecewise" and "discretization" columns.
        seed: Seed of the initial weights.

    Raises:
        ValueError: If the schema has no column to encode.

    Example:
        >>> import pandas as pd, tfrecs
        >>> frame = pd.DataFrame({"age": [31.0, 58.0], "job": ["cook", "cook"]})
        >>> schema = tfrecs.data.Schema.from_frame(frame)
        >>> encoder = tfrecs.layers.FeatureEncoder(schema, dim=4)
        >>> columns = schema.encode(frame)
        >>> encoder.adapt(columns)
        >>> encoder(columns).shape, encoder.width
        (TensorShape([2, 8]), 8)
    """

    def __init__(
        self,
        schema: Schema,
        dim: int = 16,
        num_bins: int = 48,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(schema, dict):
            schema = Schema.from_config(schema)
        self.schema = schema
        self.dim = dim
        self.num_bins = num_bins
        self.seed = seed
        policy = self.dtype_policy

        sizes: dict[str, int] = {}
        numbers: dict[str, list[str]] = {}
        for name, column in schema.items():
            if isinstance(column, Categorical):
                sizes[name] = len(column.vocabulary)
            elif isinstance(column, Text):
                sizes[name] = len(column.tokenizer.vocabulary)
            elif isinstance(column, Timestamp):
                sizes.update({f"{name}/{part}": CALENDAR[part] for part in column.parts})
            elif isinstance(column, Numeric):
                numbers.setdefault(column.encoding, []).append(name)
        if not sizes and not numbers:
            raise ValueError(f"There is no column to encode in {schema}.")
        self.categories = None
        if sizes:
            self.categories = StackedEmbedding(
                sizes, dim, seed=seed, dtype=policy, name="categories"
            )
        self.numbers = {
            encoding: self._numeric_layer(encoding, index) for index, encoding in enumerate(numbers)
        }
        self._names = numbers
        self.width = dim * len(sizes) + sum(
            len(names) * self._numeric_width(encoding) for encoding, names in numbers.items()
        )
        for encoding, names in numbers.items():
            self.numbers[encoding].build(tf.TensorShape([None, len(names)]))

    def _numeric_layer(self, encoding: str, index: int) -> Any:
        common = {"dtype": self.dtype_policy, "name": encoding}
        seed = None if self.seed is None else self.seed + 10 * (index + 1)
        if encoding in ("squashing", "standard"):
            return (Squashing if encoding == "squashing" else Standardization)(**common)
        if encoding == "periodic":
            return PeriodicEncoding(max(self.dim // 2, 1), seed=seed, **common)
        if encoding == "discretization":
            return Discretization(self.dim, self.num_bins, seed=seed, **common)
        return PiecewiseLinearEmbedding(self.dim, self.num_bins, seed=seed, **common)

    def _numeric_width(self, encoding: str) -> int:
        if encoding in ("squashing", "standard"):
            return 1
        return 2 * max(self.dim // 2, 1) if encoding == "periodic" else self.dim

    def adapt(self, columns: Mapping[str, np.ndarray] | FeatureTable) -> None:
        """Learns bins and constants of numbers.

        Args:
            columns: Encoded columns of training data, by name.
        """
        if isinstance(columns, FeatureTable):
            columns = columns.columns
        for encoding, names in self._names.items():
            values = np.stack([columns[name] for name in names], axis=-1)
            self.numbers[encoding].adapt(values)

    def call(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the vectors `[batch, width]` of a batch of encoded columns.

        Args:
            inputs: The columns by name; others among them are not looked at.
        """
        parts = []
        if self.categories is not None:
            parts.append(self.categories(self._ids(inputs)))
        for encoding, names in self._names.items():
            values = tf.stack([tf.cast(inputs[name], tf.float32) for name in names], axis=-1)
            encoded = self.numbers[encoding](values)
            width = len(names) * self._numeric_width(encoding)
            parts.append(tf.reshape(encoded, [-1, width]))
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1)

    def _ids(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        ids = {}
        for name, column in self.schema.items():
            if isinstance(column, Categorical | Text):
                ids[name] = inputs[name]
            elif isinstance(column, Timestamp):
                for index, part in enumerate(column.parts):
                    ids[f"{name}/{part}"] = inputs[name][:, index]
        return ids

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "schema": self.schema.get_config(),
            "dim": self.dim,
            "num_bins": self.num_bins,
            "seed": self.seed,
        }
