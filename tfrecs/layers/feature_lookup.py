"""The features of users or items by their ids."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, registered
from tfrecs.data import FeatureTable
from tfrecs.layers.integers import Integers


@registered
class FeatureLookup(Configured, keras.layers.Layer):
    """Gives the encoded features of ids: a `FeatureTable` as weights that do not train.

    A model that holds one needs ids alone as input, and its checkpoints and exports know the
    features.

    Args:
        table: The features.

    Example:
        >>> import pandas as pd, tensorflow as tf, tfrecs
        >>> frame = pd.DataFrame({"age": [30.0, 40.0]}, index=[7, 9])
        >>> table = tfrecs.data.FeatureTable.from_frame(frame, tfrecs.data.Vocabulary([7, 9]))
        >>> lookup = tfrecs.layers.FeatureLookup(table)
        >>> lookup(tf.constant([2, 1]))["age"].numpy().tolist()
        [40.0, 30.0]
    """

    def __init__(self, table: FeatureTable, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.schema = table.schema
        self.size = len(table)
        self.columns = {name: self._column(name, x) for name, x in table.columns.items()}

    def _column(self, name: str, values: np.ndarray) -> Integers | tf.Variable:
        if values.dtype == np.int32:
            return Integers(self, name, values)
        return self.add_weight(
            name=name,
            shape=values.shape,
            dtype=tf.as_dtype(values.dtype),
            initializer=keras.initializers.Constant(values),
            trainable=False,
            experimental_autocast=False,
        )

    def call(self, inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the columns of the ids `[batch]`; ids outside of 0..n count as unknown."""
        ids = tf.where((inputs >= 0) & (inputs <= self.size), inputs, self.size + 1)
        columns = {
            name: column.tensor() if isinstance(column, Integers) else column
            for name, column in self.columns.items()
        }
        return {name: tf.gather(column, ids) for name, column in columns.items()}

    def table(self) -> FeatureTable:
        """Returns the features that the weights hold."""
        return FeatureTable(self.schema, {n: c.numpy() for n, c in self.columns.items()})

    def grow_from(self, smaller: FeatureLookup) -> None:
        """Does nothing: the features of the new split stay."""
