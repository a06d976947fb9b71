"""The transformer block of SASRec and BERT4Rec."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, part_seeds, registered
from tfrecs.layers.attention import SelfAttention, check_position, needed_times
from tfrecs.layers.dropout import Dropout
from tfrecs.layers.normalization import LayerNormalization

NORMS = ("paper", "pre", "post")


@registered
class SASRecBlock(Configured, keras.layers.Layer):
    """One block of SASRec (Kang and McAuley, ICDM 2018).

    With `norm="paper"` it orders its parts as the authors' code does, which is neither of the usual
    two: only the queries are normalised, and both residuals start from the normalised value:

        q = LayerNorm(x)
        x = q + Attention(query=q, key=x, value=x)
        x = LayerNorm(x)
        x = x + FeedForward(x)

    `norm="pre"` is the pre-norm transformer, `x + Attention(LayerNorm(x))`, and `norm="post"` the
    original post-norm one, `LayerNorm(x + Attention(x))`; the feed-forward part likewise.
    FeedForward is two dense layers with `activation` between, dropout after each. Attention ends in
    a projection of the heads side by side, as in the original transformer; the authors' code has no
    such projection.

    Args:
        num_heads: Attention heads.
        hidden_dim: Width of the feed-forward layer; default the input's, as in the paper.
        dropout: Rate of all dropouts in the block.
        norm: "paper", "pre" or "post".
        epsilon: Added to the variance by the layer normalisations.
        activation: Between the feed-forward layers: SASRec has "relu", BERT4Rec "gelu".
        position: What the attention knows of positions, see `SelfAttention`.
        max_distance: Distances that "relative" positions tell apart.
        filter_size: Items that a causal filter beside the attention reads, see `SelfAttention`.
        time_intervals: Whether the attention knows how far apart in time two events are, see
            `TimeIntervalBias`; `call` then needs `times`.
        seed: Seed of initializers and dropout.

    Raises:
        ValueError: If `norm` is unknown.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> x = tf.random.normal([2, 5, 8])
        >>> mask = tfrecs.layers.causal_mask(tf.ones([2, 5], tf.bool))
        >>> tfrecs.layers.SASRecBlock(num_heads=2, dropout=0.1)(x, mask).shape
        TensorShape([2, 5, 8])
    """

    def __init__(
        self,
        num_heads: int = 1,
        hidden_dim: int | None = None,
        dropout: float = 0.0,
        norm: str = "paper",
        epsilon: float = 1e-8,
        activation: str = "relu",
        position: str | None = None,
        max_distance: int = 50,
        filter_size: int = 0,
        time_intervals: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_position(position)
        if norm not in NORMS:
            raise ValueError(f"norm must be one of {', '.join(NORMS)}, not {norm!r}.")

    def build(self, input_shape: Any) -> None:
        """Creates the sublayers for inputs `[batch, length, dim]`."""
        dim = input_shape[-1]
        policy, part_seed = self.dtype_policy, part_seeds(self.seed, 1)

        def norm(name: str) -> LayerNormalization:
            return LayerNormalization(self.epsilon, dtype=policy, name=name)

        def dense(name: str, units: int, activation: str | None, index: int) -> Any:
            init = keras.initializers.GlorotUniform(seed=part_seed(index))
            return keras.layers.Dense(
                units, activation, kernel_initializer=init, dtype=policy, name=name
            )

        self._norm_attention = norm("norm_attention")
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
        self._norm_feed_forward = norm("norm_feed_forward")
        self._hidden = dense("hidden", self.hidden_dim or dim, self.activation, 20)
        self._hidden_drop = Dropout(self.dropout, part_seed(21), dtype=policy)
        self._output = dense("output", dim, None, 22)
        self._output_drop = Dropout(self.dropout, part_seed(23), dtype=policy)
        super().build(input_shape)

    def call(
        self,
        inputs: tf.Tensor,
        mask: tf.Tensor,
        training: bool | None = None,
        last_only: bool = False,
        times: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Returns the block's output, `[batch, length, dim]` like `inputs`.

        Args:
            inputs: `[batch, length, dim]`.
            mask: `[batch, length, length]` bool, from `causal_mask`.
            training: Whether dropout applies.
            last_only: Whether to compute the last position's output only, `[batch, 1, dim]`, which
                is all that a recommendation needs of the last block.
            times: `[batch, length]` int64 seconds each: the times at which the positions ask, and
                those of their events; None without `time_intervals`.
        """
        x = memory = inputs
        if last_only:
            x, mask = x[:, -1:], mask[:, -1:]
        if self.time_intervals:
            times = needed_times(times, last_only)
        given = {"training": training, "times": times}
        if self.norm == "paper":
            query = self._norm_attention(x)
            attended = self._attention(query, memory, mask, **given)
            x = self._norm_feed_forward(query + attended)
            return x + self._feed_forward(x, training)
        if self.norm == "pre":
            memory = self._norm_attention(memory)
            query = memory[:, -1:] if last_only else memory
            x = x + self._attention(query, memory, mask, **given)
            return x + self._feed_forward(self._norm_feed_forward(x), training)
        x = self._norm_attention(x + self._attention(x, memory, mask, **given))
        return self._norm_feed_forward(x + self._feed_forward(x, training))

    def attention_weights(
        self,
        inputs: tf.Tensor,
        mask: tf.Tensor,
        times: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Returns how much each position reads of each other; see `SelfAttention`."""
        normed = inputs if self.norm == "post" else self._norm_attention(inputs)
        memory = normed if self.norm == "pre" else inputs
        return self._attention.attention_weights(normed, memory, mask, times)

    def _feed_forward(self, x: tf.Tensor, training: bool | None) -> tf.Tensor:
        hidden = self._hidden_drop(self._hidden(x), training=training)
        return self._output_drop(self._output(hidden), training=training)
