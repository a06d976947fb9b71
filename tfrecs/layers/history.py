"""User vectors from histories: combinations of the vectors of the items in them.

Histories are padded on the left, and positions p count from the most recent item, p = 0. A user's
vector stays in the space of the item vectors.
"""

from __future__ import annotations

import math
from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, check_integer, part_seeds, registered

MODES = ("mean", "recency", "attention")
FUSIONS = ("gate", "concat")


@registered
class HistoryPooling(Configured, keras.layers.Layer):
    """The user's vector as a weighted mean of the vectors in a history.

        u = sum_p a_p x_p,   a = softmax(l) over the valid positions

    - "mean" (Covington et al., RecSys 2016): l_p = 0.
    - "recency": l_p = -p ln 2 / half_life. An item counts half as much as one that is `half_life`
      positions more recent; the half-life is learned, one number, from where it is set.
    - "attention" (additive attention: Yang et al., NAACL 2016; for histories Wu et al., IJCAI
      2019): l_p = q tanh(W x_p + b), with learned W, b, and a query q for each head. A head weighs
      its own slice of the vectors.

    A history without a valid item gives a learned vector, zeros before training.

    Args:
        mode: "mean", "recency" or "attention".
        half_life: Initial half-life in positions, for "recency".
        learn_half_life: Whether it is learned or stays.
        num_heads: Heads of "attention"; must divide the size of the vectors.
        hidden_dim: Rows of W, for "attention"; default the size of the vectors.
        seed: Seed of the initial weights.

    Raises:
        ValueError: If an argument is out of its range, or `num_heads` does not divide the size of
            the vectors.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> vectors = tf.constant([[[9.0, 9.0], [1.0, 0.0], [4.0, 3.0]]])
        >>> valid = tf.constant([[False, True, True]])
        >>> layer = tfrecs.layers.HistoryPooling("recency", half_life=1.0)
        >>> layer(vectors, mask=valid).numpy().round(3).tolist()
        [[3.0, 2.0]]
    """

    def __init__(
        self,
        mode: str = "mean",
        half_life: float = 10.0,
        learn_half_life: bool = True,
        num_heads: int = 1,
        hidden_dim: int | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}.")
        if not 0.1 <= half_life <= 1e6:
            raise ValueError(f"half_life must be from 0.1 to 1,000,000 positions, not {half_life}.")
        check_integer("num_heads", num_heads, least=1)
        if hidden_dim is not None:
            check_integer("hidden_dim", hidden_dim, least=1)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """Creates the weights for vectors `[batch, length, dim]`."""
        dim = input_shape[-1]
        self.empty = self.add_weight(name="empty", shape=(dim,), initializer="zeros")
        if self.mode == "recency":
            self.log_half_life = self.add_weight(
                name="log_half_life",
                shape=(),
                initializer=keras.initializers.Constant(math.log(self.half_life)),
                trainable=self.learn_half_life,
                experimental_autocast=False,
            )
        if self.mode == "attention":
            if dim % self.num_heads:
                raise ValueError(
                    f"num_heads ({self.num_heads}) must divide the size of the vectors ({dim})."
                )
            self._hidden = _dense(self, self.hidden_dim or dim, "hidden", 0, activation="tanh")
            self._scores = _dense(self, self.num_heads, "scores", 1, use_bias=False)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the users' vectors.

        Args:
            inputs: `[batch, length, dim]`, the items' vectors, the most recent one last.
            mask: `[batch, length]` bool, False at padding; default all True.

        Returns:
            `[batch, dim]`.
        """
        if mask is None:
            mask = tf.ones(tf.shape(inputs)[:2], tf.bool)
        logits = tf.where(mask[:, tf.newaxis], self._logits(inputs), tf.float32.min)
        weights = tf.cast(tf.nn.softmax(logits), inputs.dtype)
        shape = tf.shape(inputs)
        heads, dim = weights.shape[1], inputs.shape[-1]
        slices = tf.reshape(inputs, [shape[0], shape[1], heads, dim // heads])
        pooled = tf.reshape(tf.einsum("bhl,blhd->bhd", weights, slices), [shape[0], dim])
        filled = tf.reduce_any(mask, axis=1, keepdims=True)
        return tf.where(filled, pooled, tf.cast(self.empty, pooled.dtype))

    def _logits(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns `[batch, heads, length]` float32; an axis that all share has size 1."""
        if self.mode == "attention":
            scores = tf.cast(self._scores(self._hidden(inputs)), tf.float32)
            return tf.transpose(scores, [0, 2, 1])
        position = tf.cast(tf.range(tf.shape(inputs)[1])[::-1], tf.float32)
        rate = tf.zeros(())
        if self.mode == "recency":
            log_half_life = tf.clip_by_value(self.log_half_life, math.log(0.1), math.log(1e6))
            rate = math.log(2) * tf.exp(-log_half_life)
        return (-rate * position)[tf.newaxis, tf.newaxis]

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Returns None: the output has no positions."""


@registered
class LongShortHistory(Configured, keras.layers.Layer):
    """Short-term interest, the last few items, joined with long-term interest, all of them.

        s = short(x_p, p < short_length),   l = long(x)
        "gate":    g = sigmoid(W [s; l] + b),  u = g * s + (1 - g) * l
        "concat":  u = W [s; l] + b

    The two kinds of interest follow Grbovic and Cheng (KDD 2018), the gate follows SDM (Lv
    et al., CIKM 2019), one for each dimension.

    Args:
        short_length: Items that make the short-term interest.
        short: How these are pooled: a mode of `HistoryPooling`, or such a layer.
        long: How all are pooled, likewise.
        fusion: "gate" or "concat".
        seed: Seed of the initial weights.

    Raises:
        ValueError: If `short_length` is below 1 or `fusion` unknown.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> layer = tfrecs.layers.LongShortHistory(short_length=2, short="attention")
        >>> vectors, valid = tf.random.normal([4, 9, 8]), tf.ones([4, 9], tf.bool)
        >>> layer(vectors, mask=valid).shape
        TensorShape([4, 8])
    """

    def __init__(
        self,
        short_length: int = 5,
        short: str | HistoryPooling = "attention",
        long: str | HistoryPooling = "mean",
        fusion: str = "gate",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_integer("short_length", short_length, least=1)
        if fusion not in FUSIONS:
            raise ValueError(f"fusion must be gate or concat, not {fusion!r}.")
        self.short = self._pooling(short, "short", 2)
        self.long = self._pooling(long, "long", 4)
        self.supports_masking = True

    def _pooling(self, pooling: str | HistoryPooling, name: str, index: int) -> HistoryPooling:
        if isinstance(pooling, HistoryPooling):
            return pooling
        seed = part_seeds(self.seed, 1)(index)
        return HistoryPooling(pooling, seed=seed, dtype=self.dtype_policy, name=name)

    def build(self, input_shape: Any) -> None:
        """Creates the weights for vectors `[batch, length, dim]`."""
        activation = "sigmoid" if self.fusion == "gate" else None
        self._fuse = _dense(self, input_shape[-1], "fuse", 0, activation=activation)
        super().build(input_shape)

    def call(self, inputs: tf.Tensor, mask: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the users' vectors.

        Args:
            inputs: `[batch, length, dim]`, the items' vectors, the most recent one last.
            mask: `[batch, length]` bool, False at padding; default all True.

        Returns:
            `[batch, dim]`.
        """
        if mask is None:
            mask = tf.ones(tf.shape(inputs)[:2], tf.bool)
        recent = slice(-self.short_length, None)
        short = self.short(inputs[:, recent], mask=mask[:, recent])
        long = self.long(inputs, mask=mask)
        fused = self._fuse(tf.concat([short, long], axis=-1))
        return fused * short + (1 - fused) * long if self.fusion == "gate" else fused

    def compute_mask(self, inputs: Any, mask: Any = None) -> None:
        """Returns None: the output has no positions."""


def _dense(
    layer: keras.layers.Layer, units: int, name: str, index: int, **arguments: Any
) -> keras.layers.Dense:
    """Returns a dense layer that has its parent's precision and a seed of its parent's."""
    initializer = keras.initializers.GlorotUniform(part_seeds(layer.seed, 1)(index))
    return keras.layers.Dense(
        units, kernel_initializer=initializer, dtype=layer.dtype_policy, name=name, **arguments
    )
