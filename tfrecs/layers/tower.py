"""One tower of a two-tower model: from ids to vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, check_integer, part_seeds, registered
from tfrecs.data import FeatureTable
from tfrecs.layers.cross import CrossNetwork
from tfrecs.layers.dropout import Dropout, StepCounter
from tfrecs.layers.feature_encoder import FeatureEncoder
from tfrecs.layers.feature_lookup import FeatureLookup
from tfrecs.layers.stacked_embedding import StackedEmbedding


@registered
class Tower(Configured, keras.layers.Layer):
    """Makes the vectors of users or items from their ids and features.

        x = [embedding of the id, features, further input of the caller]
        y = W ReLU(... ReLU(crosses(x))) + b

    As in DSSM (Huang et al., CIKM 2013), and with `cross_layers` the explicit crosses of DCN-V2
    before the dense layers.

    Args:
        size: Number of users or items, n.
        dim: Size of the vectors.
        features: Their features, or None for ids alone.
        id_dim: Size of the ids' vectors; 0 to read features alone, for unseen ids too.
        feature_dim: Size of the vectors of categories and numbers.
        beside_dim: Size of the caller's input beside ids and features; 0 for none.
        hidden_units: Widths of the dense layers before the last.
        cross_layers: Number of cross layers.
        dropout: Rate of the dropout of what enters the dense layers.
        id_dropout: Rate at which training takes an id for an unknown one, so that the vector of
            unknown ids and the features learn to stand for any id (cf. Volkovs et al.,
            "DropoutNet", NeurIPS 2017).
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
        check_integer("size", size, least=1)
        check_integer("dim", dim, least=1)
        check_integer("feature_dim", feature_dim, least=1)
        check_integer("id_dim", id_dim, least=0)
        check_integer("beside_dim", beside_dim, least=0)
        check_integer("cross_layers", cross_layers, least=0)
        if not 0 <= id_dropout < 1:
            raise ValueError(f"id_dropout must be in [0, 1), not {id_dropout!r}.")
        self.hidden_units = list(hidden_units)
        policy, part_seed = self.dtype_policy, part_seeds(seed)
        self.ids = None
        if id_dim:
            given = {"seed": part_seed(0), "dtype": policy, "name": "id_embedding"}
            self.ids = StackedEmbedding([size], id_dim, **given)
        self.id_counter = StepCounter(part_seed(1), name="id_dropout") if id_dropout else None
        self.lookup = self.encoder = None
        if features is not None:
            self.lookup = FeatureLookup(features, name="lookup")
            given = {"seed": part_seed(2), "dtype": policy, "name": "features"}
            self.encoder = FeatureEncoder(features.schema, feature_dim, **given)
            if features.has_values:  # Else the weights will bring what was learned.
                self.encoder.adapt(features)
        self.crosses = None
        if cross_layers:
            given = {"seed": part_seed(3), "dtype": policy, "name": "crosses"}
            self.crosses = CrossNetwork(cross_layers, **given)
        self.input_dropout = Dropout(dropout, part_seed(4), dtype=policy, name="input_dropout")
        self.dense = []
        for index, width in enumerate([*self.hidden_units, dim]):
            activation = "relu" if index < len(self.hidden_units) else None
            glorot = keras.initializers.GlorotUniform(part_seed(10 + index))
            given = {"dtype": policy, "name": f"dense_{index}"}
            self.dense.append(
                keras.layers.Dense(width, activation, kernel_initializer=glorot, **given)
            )
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
            beside: `[batch, beside_dim]` of further input, such as a pooled history.
            training: Whether dropouts apply.
            features: Encoded columns by name, such as a new user's, which replace the table's.

        Returns:
            `[batch, dim]`.
        """
        parts = []
        if self.ids is not None:
            ids = inputs
            if training and self.id_counter is not None:
                unknown = self.id_counter.uniform(tf.shape(ids)) < self.id_dropout
                ids = tf.where(unknown, self.size + 1, ids)
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
