"""Embedding of what a log tells of events beside their items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, part_seeds, registered
from tfrecs.data import Schema
from tfrecs.layers.feature_encoder import FeatureEncoder


@registered
class EventEmbedding(Configured, keras.layers.Layer):
    """A projection of the columns of events, such as ratings, prices and devices.

        w_t = W FeatureEncoder(columns of event t)

    It is added to the vector of the event's item, as `FeaturedItemEmbedding` adds the features of
    items. What numbers need of the data is learned by `adapt`.

    Args:
        schema: The columns: categories of one value, numbers and times.
        dim: Size of a vector.
        feature_dim: Size of the vectors of categories and numbers; see `FeatureEncoder`.
        seed: Seed of the initial weights.

    Raises:
        ValueError: If the schema has no column to encode.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> device = tfrecs.data.Categorical(tfrecs.data.Vocabulary(["phone", "desktop"]))
        >>> layer = tfrecs.layers.EventEmbedding(tfrecs.data.Schema({"device": device}), dim=8)
        >>> layer({"device": tf.constant([[0, 1, 2], [2, 1, 3]])}).shape
        TensorShape([2, 3, 8])
    """

    def __init__(
        self,
        schema: Schema,
        dim: int,
        feature_dim: int = 16,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        # Numbers enter in float32: a float16 cannot tell one year from the next.
        self._autocast = False
        part_seed = part_seeds(seed)
        policy = self.dtype_policy
        self.encoder = FeatureEncoder(
            schema, feature_dim, seed=part_seed(0), dtype=policy, name="features"
        )
        glorot = keras.initializers.GlorotUniform(part_seed(1))
        self.projection = keras.layers.Dense(
            dim, use_bias=False, kernel_initializer=glorot, dtype=policy, name="projection"
        )
        self.projection.build([None, self.encoder.width])

    def adapt(self, columns: Mapping[str, np.ndarray]) -> None:
        """Learns what numbers need of training data.

        Args:
            columns: `[events, ..]` encoded columns by name.

        Raises:
            ValueError: If a column is missing, or has nothing to learn from.
        """
        self.encoder.adapt(columns)

    def call(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns the vectors `[batch, length, dim]` of events.

        Args:
            inputs: `[batch, length, ..]` encoded columns by name; others are not looked at.
        """
        columns = {name: inputs[name] for name in self.schema}
        shape = tf.shape(next(iter(columns.values())))[:2]
        flat = {
            name: tf.reshape(column, tf.concat([[-1], tf.shape(column)[2:]], axis=0))
            for name, column in columns.items()
        }
        for name, column in columns.items():  # Reshaping forgets how many parts a time has.
            flat[name].set_shape([None, *column.shape[2:]])
        vectors = self.projection(self.encoder(flat))
        return tf.reshape(vectors, tf.concat([shape, [self.dim]], axis=0))
