"""Blocks of gated transformers: LiGR and HSTU."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, part_seeds, registered
from tfrecs.layers.attention import (
    AttentionScores,
    SelfAttention,
    check_position,
    join_heads,
    needed_times,
    split_heads,
)
from tfrecs.layers.dropout import Dropout
from tfrecs.layers.normalization import LayerNormalization


@registered
class LiGRBlock(Configured, keras.layers.Layer):
    """A pre-norm transformer block whose branches are gated, with SwiGLU (LiGR, eSASRec).

        x = x + sigmoid(W1 x) * Dropout(Attention(LayerNorm(x)))
        x = x + sigmoid(W2 x) * Dropout(SwiGLU(LayerNorm(x)))
        SwiGLU(y) = W5 (SiLU(W3 y) * W4 y)

    Borisyuk et al., "LiGR: large-scale industrial generative ranking" (2025); as in Tikhonovich et
    al., "eSASRec" (RecSys 2025). The dense layers have no biases, but for those of the attention.

    Args:
        num_heads: Attention heads.
        hidden_dim: Width of SwiGLU; default four times the input's.
        dropout: Rate of all dropouts in the block.
        position: What the attention knows of positions, see `SelfAttention`.
        max_distance: Distances that "relative" positions tell apart.
        filter_size: Items that a causal filter beside the attention reads, see `SelfAttention`.
        time_intervals: Whether the attention knows how far apart in time two events are, see
            `TimeIntervalBias`; `call` then needs `times`.
        seed: Seed of initializers and dropout.

    Raises:
        ValueError: If `position` is unknown.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> x = tf.random.normal([2, 5, 8])
        >>> mask = tfrecs.layers.causal_mask(tf.ones([2, 5], tf.bool))
        >>> tfrecs.layers.LiGRBlock(num_heads=2, position="relative")(x, mask).shape
        TensorShape([2, 5, 8])
    """

    def __init__(
        self,
        num_heads: int = 1,
        hidden_dim: int | None = None,
        dropout: float = 0.0,
        position: str | None = None,
        max_distance: int = 50,
        filter_size: int = 0,
        time_intervals: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_position(position)

    def build(self, input_shape: Any) -> None:
        """Creates the sublayers for inputs `[batch, length, dim]`."""
        dim = input_shape[-1]
        policy, part_seed = self.dtype_policy, part_seeds(self.seed, 1)

        def dense(name: str, units: int, activation: str | None, index: int) -> Any:
            init = keras.initializers.GlorotUniform(seed=part_seed(index))
            given = {"kernel_initializer": init, "dtype": policy, "name": name}
            return keras.layers.Dense(units, activation, use_bias=False, **given)

        self._attention_norm = LayerNormalization(dtype=policy, name="attention_norm")
        self._attention = SelfAttention(
            self.num_heads,
            self.dropout,
            self.position,
            self.max_distance,
            self.filter_size,
            self.time_intervals,
            part_seed(10),
            dtype=policy,
            name="attention",
        )
        self._attention_gate = dense("attention_gate", dim, "sigmoid", 20)
        self._attention_drop = Dropout(self.dropout, part_seed(21), dtype=policy)
        self._feed_forward_norm = LayerNormalization(dtype=policy, name="feed_forward_norm")
        hidden = self.hidden_dim or 4 * dim
        # One product makes what is passed and what lets it pass.
        self._hidden = dense("hidden", 2 * hidden, None, 22)
        self._hidden_drop = Dropout(self.dropout, part_seed(23), dtype=policy)
        self._output = dense("output", dim, None, 24)
        self._feed_forward_gate = dense("feed_forward_gate", dim, "sigmoid", 25)
        self._feed_forward_drop = Dropout(self.dropout, part_seed(26), dtype=policy)
        super().build(input_shape)

    def call(
        self,
        inputs: tf.Tensor,
        mask: tf.Tensor,
        training: bool | None = None,
        last_only: bool = False,
        times: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Returns the block's output; arguments as of `SASRecBlock`."""
        x, memory = inputs, self._attention_norm(inputs)
        query = memory
        if last_only:
            x, query, mask = x[:, -1:], memory[:, -1:], mask[:, -1:]
        if self.time_intervals:
            times = needed_times(times, last_only)
        attended = self._attention(query, memory, mask, training=training, times=times)
        x += self._attention_gate(x) * self._attention_drop(attended, training=training)
        gate, value = tf.split(self._hidden(self._feed_forward_norm(x)), 2, axis=-1)
        hidden = self._hidden_drop(tf.nn.silu(gate) * value, training=training)
        fed = self._feed_forward_drop(self._output(hidden), training=training)
        return x + self._feed_forward_gate(x) * fed

    def attention_weights(
        self,
        inputs: tf.Tensor,
        mask: tf.Tensor,
        times: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Returns how much each position reads of each other; see `SelfAttention`."""
        memory = self._attention_norm(inputs)
        return self._attention.attention_weights(memory, memory, mask, times)


@registered
class HSTUBlock(Configured, keras.layers.Layer):
    """A block of HSTU: pointwise attention whose values are gated.

        u, v, q, k = split(SiLU(W1 LayerNorm(x)))
        a = SiLU(q k^T + bias) / length, where the mask allows
        x = x + W2 Dropout(LayerNorm(a v) * u)

    Zhai et al., "Actions speak louder than words: trillion-parameter sequential transducers for
    generative recommendations" (ICML 2024), equations 1 to 3. The block has no feed-forward layer.
    Without the softmax the weights of a position need not sum to 1, so that it also counts.

    Args:
        num_heads: Attention heads.
        dropout: Rate of the dropout.
        position: "relative" for the paper's bias, "rotary" for rotated queries and keys, None for
            neither.
        max_distance: Distances that "relative" positions tell apart, and the length that weights
            are divided by.
        time_intervals: Whether the attention knows how far apart in time two events are, see
            `TimeIntervalBias`; `call` then needs `times`.
        seed: Seed of initializers and dropout.

    Raises:
        ValueError: If `position` is unknown, or `num_heads` does not divide the input's size.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> x = tf.random.normal([2, 5, 8])
        >>> mask = tfrecs.layers.causal_mask(tf.ones([2, 5], tf.bool))
        >>> tfrecs.layers.HSTUBlock(num_heads=2)(x, mask).shape
        TensorShape([2, 5, 8])
    """

    def __init__(
        self,
        num_heads: int = 1,
        dropout: float = 0.0,
        position: str | None = "relative",
        max_distance: int = 50,
        time_intervals: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_position(position)

    def build(self, input_shape: Any) -> None:
        """Creates the sublayers for inputs `[batch, length, dim]`."""
        dim = input_shape[-1]
        if dim % self.num_heads:
            raise ValueError(
                f"num_heads ({self.num_heads}) must divide the size of the vectors ({dim})."
            )
        policy, part_seed = self.dtype_policy, part_seeds(self.seed, 1)
        # Each part has Glorot's limit, as if it were a layer.
        init = keras.initializers.VarianceScaling(2.5, "fan_avg", "uniform", seed=part_seed(1))
        self._parts = keras.layers.Dense(
            4 * dim, "swish", False, kernel_initializer=init, dtype=policy, name="parts"
        )
        init = keras.initializers.GlorotUniform(part_seed(2))
        self._output = keras.layers.Dense(dim, kernel_initializer=init, dtype=policy, name="output")
        self._norm = LayerNormalization(dtype=policy, name="norm")
        self._attended_norm = LayerNormalization(dtype=policy, name="attended_norm")
        self._drop = Dropout(self.dropout, part_seed(3), dtype=policy)
        self._scores = AttentionScores(
            self.num_heads,
            self.position,
            self.max_distance,
            self.time_intervals,
            dtype=policy,
            name="scores",
        )
        super().build(input_shape)

    def call(
        self,
        inputs: tf.Tensor,
        mask: tf.Tensor,
        training: bool | None = None,
        last_only: bool = False,
        times: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Returns the block's output; arguments as of `SASRecBlock`."""
        parts = self._parts(self._norm(inputs))
        gate, rest = parts[..., : inputs.shape[-1]], parts[..., inputs.shape[-1] :]
        value, query, key = split_heads(rest, 3, self.num_heads)
        x = inputs
        if last_only:
            x, gate, query, mask = x[:, -1:], gate[:, -1:], query[:, :, -1:], mask[:, -1:]
        if self.time_intervals:
            times = needed_times(times, last_only)
        weights = self._weights(query, key, mask, times)
        attended = join_heads(tf.matmul(tf.cast(weights, value.dtype), value))
        gated = self._attended_norm(attended) * gate
        return x + self._output(self._drop(gated, training=training))

    def attention_weights(
        self,
        inputs: tf.Tensor,
        mask: tf.Tensor,
        times: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Returns how much each position reads of each other; these do not sum to 1."""
        rest = self._parts(self._norm(inputs))[..., inputs.shape[-1] :]
        _, query, key = split_heads(rest, 3, self.num_heads)
        return self._weights(query, key, mask, times)

    def _weights(
        self,
        query: tf.Tensor,
        key: tf.Tensor,
        mask: tf.Tensor,
        times: tuple[tf.Tensor, tf.Tensor] | None,
    ) -> tf.Tensor:
        scores = self._scores(query, key, times)
        return tf.where(mask[:, tf.newaxis], tf.nn.silu(scores), 0.0) / self.max_distance
