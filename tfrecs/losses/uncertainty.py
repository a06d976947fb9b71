"""Weights of several losses that are learned with the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, registered


@registered
class UncertaintyWeighting(Configured, keras.layers.Layer):
    """A sum of losses weighted by homoscedastic uncertainty (Kendall et al., CVPR 2018).

        loss = sum_i (exp(-s_i) L_i + s_i / 2),   s_i = log of task i's variance, a weight

    Losses of different units and sizes come to weigh about the same, without a search for weights.
    For a regression let L be half the squared error, as in the paper. The sum can fall below 0.

    Args:
        names: Names of the losses.

    Raises:
        ValueError: If there are no names, or a call's losses have others.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> weighting = tfrecs.losses.UncertaintyWeighting(["click", "rating"])
        >>> float(weighting({"click": tf.constant(0.5), "rating": tf.constant(2.0)}))
        2.5
    """

    def __init__(self, names: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.names = list(names)
        if not self.names:
            raise ValueError("UncertaintyWeighting needs the name of at least one loss.")
        self.log_variance = self.add_weight(
            name="log_variance", shape=(len(self.names),), initializer="zeros"
        )

    def call(
        self, losses: Mapping[str, tf.Tensor], present: Mapping[str, tf.Tensor] | None = None
    ) -> tf.Tensor:
        """Returns the weighted sum of the losses; on a replica, its share of it.

        Args:
            losses: Scalars by name.
            present: 1.0 for losses that the batch has labels of and 0.0 for the others, scalars by
                name; None for all. A batch without labels does not move the variance.
        """
        if set(losses) != set(self.names):
            raise ValueError(
                f"{self.name} weighs the losses {sorted(self.names)}, not {sorted(losses)}."
            )
        stacked = tf.stack([tf.cast(losses[name], tf.float32) for name in self.names])
        # Each replica brings its share of the losses; their sum should have the other term once.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        variance = self.log_variance / (2 * replicas)
        if present:
            given = [tf.cast(present.get(name, 1.0), tf.float32) for name in self.names]
            variance *= tf.stack(given)
        return tf.reduce_sum(tf.exp(-self.log_variance) * stacked + variance)
