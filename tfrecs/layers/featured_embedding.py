"""Embedding of items by their ids and their features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.configured import part_seeds, registered
from tfrecs.data import FeatureTable
from tfrecs.layers.embedding import ItemEmbedding
from tfrecs.layers.feature_encoder import FeatureEncoder
from tfrecs.layers.feature_lookup import FeatureLookup


@registered
class FeaturedItemEmbedding(ItemEmbedding):
    """The vectors of an `ItemEmbedding`, to which a projection of the items' features is added.

        v_i = E[i] + W FeatureEncoder(features of i)

    An item that training never saw has its features alone. Adding what is known of an item to its
    vector is the simplest of the ways that Liu et al. compare ("Non-invasive self-attention for
    side information fusion in sequential recommendation", AAAI 2021).

    Args:
        num_items: Number of items, n.
        dim: Size of a vector, d.
        features: The features of the items.
        feature_dim: Size of the vectors of categories and numbers; see `FeatureEncoder`.
        seed: Seed of the initial weights.

    Raises:
        ValueError: If an argument is out of its range, or there are features of another number of
            items.

    Example:
        >>> import pandas as pd, tensorflow as tf, tfrecs
        >>> frame = pd.DataFrame({"price": [2.5, 4.0]}, index=[7, 9])
        >>> features = tfrecs.data.FeatureTable.from_frame(frame, tfrecs.data.Vocabulary([7, 9]))
        >>> layer = tfrecs.layers.FeaturedItemEmbedding(2, 8, features)
        >>> layer(tf.constant([[0, 1, 2]])).shape
        TensorShape([1, 3, 8])
    """

    def __init__(
        self,
        num_items: int,
        dim: int,
        features: FeatureTable,
        feature_dim: int = 64,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        part_seed = part_seeds(seed)
        super().__init__(num_items, dim, seed=part_seed(0), **kwargs)
        if len(features) != num_items:
            raise ValueError(f"There are features of {len(features)} items, not of {num_items}.")
        self.lookup = FeatureLookup(features, name="lookup")
        self.encoder = FeatureEncoder(
            features.schema, feature_dim, seed=part_seed(1), dtype=tf.float32, name="features"
        )
        if features.has_values:
            self.encoder.adapt(features)
        else:  # The weights will bring what was learned. Until then the layer can be called.
            specs = features.schema.signature().items()
            two = {n: np.arange(2).reshape([2] + [1] * (len(s.shape) - 1)) for n, s in specs}
            shapes = {n: [2, *s.shape[1:]] for n, s in specs}
            self.encoder.adapt(
                {n: np.broadcast_to(two[n], shapes[n]).astype(s.dtype.name) for n, s in specs}
            )
        glorot = keras.initializers.GlorotUniform(part_seed(2))
        self.projection = keras.layers.Dense(
            dim, use_bias=False, kernel_initializer=glorot, dtype=tf.float32, name="projection"
        )
        self.projection.build([None, self.encoder.width])

    def rows(
        self, ids: tf.Tensor | None = None, features: Mapping[str, tf.Tensor] | None = None
    ) -> tf.Tensor:
        """Returns the float32 vectors of `ids`.

        Args:
            ids: `[...]`, in 1..n + 1, where n + 1 is an item that training did not see; None for
                all of 1..n.
            features: `[batch, ...]` encoded columns by name, which replace the stored ones.
        """
        every = tf.range(1, self.num_items + 1) if ids is None else tf.reshape(ids, [-1])
        columns = {**self.lookup(every), **(features or {})}
        added = self.projection(self.encoder(columns))
        table = tf.cast(self.table, tf.float32)  # Within a call Keras reads it in half precision.
        if ids is None:
            return table + added
        known = tf.cast(every <= self.num_items, tf.float32)[:, tf.newaxis]
        own = tf.gather(table, tf.minimum(every, self.num_items) - 1) * known
        return tf.reshape(own + added, tf.concat([tf.shape(ids), [self.dim]], axis=0))

    def grow_from(self, smaller: ItemEmbedding) -> None:
        """Takes what a layer of fewer items learned; the features are those of the new items."""
        super().grow_from(smaller)
        assert isinstance(smaller, FeaturedItemEmbedding)
        for layer, learned in (
            (self.encoder, smaller.encoder),
            (self.projection, smaller.projection),
        ):
            for new, old in zip(layer.variables, learned.variables, strict=True):
                new.assign(old)
