"""One tower of a two-tower model: from ids to vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, registered
from tfrecs.data import FeatureTable
from tfrecs.layers.cross import CrossNetwork
from tfrecs.layers.dropout import Dropout, StepCounter
from tfrecs.layers.feature_encoder import FeatureEncoder
from tfrecs.layers.feature_lookup import FeatureLookup
from tfrecs.layers.stacked_embedding import StackedEmbedding


@registered
class Tower(Configured, keras.layers.Layer):
    """Makes the vectors of users or items from their ids and features.

        x = [embedding of the id, features, what else the caller has]
        y = W ReLU(... ReLU(crosses(x))) + b

    As in DSSM (Huang et al., CIKM 2013), and with `cross_layers` the explicit crosses of DCN-V2
    before the dense layers.

    Args:
        size: Number of users or items, n.
        dim: Size of the vectors.
        features: Their features, or None for ids alone.
        id_dim: Size of the ids' own vectors; 0 for none, so that features alone count and an id
            never seen is like any other.
        feature_dim: Size of the vectors of categories and numbers.
        beside_dim: Size of what the caller has beside ids and features; 0 for nothing.
        hidden_units: Widths of the dense layers before the last.
        cross_layers: Number of cross layers.
        dropout: Rate of the dropout of what enters the dense layers.
        id_dropout: Rate at which an id is taken for an unknown one in training. The vector of
            unknown ids then learns to stand for any, and the features to do without (cf. Volkovs et
            al., "DropoutNet", NeurIPS 2017).
        seed: Seed of initial weights and dropouts.

    Raises:
        ValueError: If an argument is out of its range, or there are neither ids nor features.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> tower = tfrecs.layers.Tower(size=10, dim=4, id_dim=8)
        >>> tower(tf.constant([3, 10, 11])).shape
        TensorShape([3, 4])
    """

    def __init__(
        self,
        size: int,
        dim: int,
        features: FeatureTable | None = None,
        id_dim: int = 64,
        feature_dim: int = 16,
        beside_dim: int = 0,
        hidden_units: Sequence[int] = (128,),
        cross_layers: int = 0,
        dropout: float = 0.0,
        id_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if features is None and not id_dim and not beside_dim:
            raise ValueError("A tower needs features where ids have no vectors (id_dim 0).")
        if features is not None and len(features) != size:
            raise ValueError(f"There are features of {len(features)} ids, not of {size}.")
        if min(size, dim, feature_dim) < 1 or min(id_dim, beside_dim, cross_layers) < 0:
            raise ValueError(
                "size, dim and feature_dim must be at least 1, id_dim, beside_dim and cross_layers "
                f"at least 0, not {size}, {dim}, {feature_dim}, {id_dim}, {beside_dim} and "
                f"{cross_layers}."
            )
        if not 0 <= id_dropout < 1:
            raise ValueError(f"id_dropout must be in [0, 1), not {id_dropout!r}.")
        self.size = size
        self.hidden_units = list(hidden_units)
        self._threshold = round(id_dropout * 2**16)
        policy = self.dtype_policy

        def part_seed(index: int) -> int | None:
            return None if seed is None else 1000 * seed + index

        self.ids = None
        if id_dim:
            self.ids = StackedEmbedding(
                [size], id_dim, seed=part_seed(0), dtype=policy, name="id_embedding"
            )
        self.id_counter = StepCounter(part_seed(1), name="id_dropout") if id_dropout else None
        self.lookup = self.encoder = None
        if features is not None:
            self.lookup = FeatureLookup(features, name="lookup")
            self.encoder = FeatureEncoder(
                features.schema, feature_dim, seed=part_seed(2), dtype=policy, name="features"
            )
            if features.has_values:  # Else the weights will bring what was learned.
                self.encoder.adapt(features)
        self.crosses = None
        if cross_layers:
            self.crosses = CrossNetwork(
                cross_layers, seed=part_seed(3), dtype=policy, name="crosses"
            )
        self.input_dropout = Dropout(dropout, part_seed(4), dtype=policy, name="input_dropout")
        widths = [*self.hidden_units, dim]
        self.dense = [
            keras.layers.Dense(
                width,
                "relu" if index < len(self.hidden_units) else None,
                kernel_initializer=keras.initializers.GlorotUniform(part_seed(10 + index)),
                dtype=policy,
                name=f"dense_{index}",
            )
            for index, width in enumerate(widths)
        ]
        # All weights exist from here on: a checkpoint restores into them at once.
        features_width = 0 if self.encoder is None else self.encoder.width
        self._deep(tf.zeros([1, id_dim + features_width + beside_dim]), training=False)

    def call(
        self,
        inputs: tf.Tensor,
        beside: tf.Tensor | None = None,
        training: bool | None = None,
        features: Mapping[str, tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Returns vectors.

        Args:
            inputs: `[batch]` int32 ids; any outside of 1..n is an unknown one.
            beside: `[batch, beside_dim]`, what else enters the tower, such as a pooled history.
            training: Whether dropouts apply.
            features: Encoded columns to take instead of those that the table has of the ids, by
                name: what is known of somebody or something new.

        Returns:
            `[batch, dim]`.
        """
        parts = []
        if self.ids is not None:
            ids = inputs
            if training and self.id_counter is not None:
                seed = self.id_counter.next_seed(per_replica=True)
                # Bits, as XLA makes other random floats of them.
                bits = tf.random.stateless_uniform(
                    tf.shape(ids), seed, minval=None, maxval=None, dtype=tf.uint32
                )
                known = tf.cast(tf.bitwise.right_shift(bits, 16), tf.int32) >= self._threshold
                ids = tf.where(known, ids, self.size + 1)
            parts.append(self.ids(ids[:, tf.newaxis]))
        if self.lookup is not None and self.encoder is not None:
            parts.append(self.encoder({**self.lookup(inputs), **(features or {})}))
        if beside is not None:
            parts.append(tf.cast(beside, self.compute_dtype))
        return self._deep(parts[0] if len(parts) == 1 else tf.concat(parts, axis=-1), training)

    def _deep(self, x: tf.Tensor, training: bool | None) -> tf.Tensor:
        x = self.input_dropout(x, training=training)
        if self.crosses is not None:
            x = self.crosses(x)
        for layer in self.dense:
            x = layer(x)
        return x
