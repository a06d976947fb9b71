"""Self-attention over a history, and the transformer block of SASRec and BERT4Rec."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, part_seeds, registered
from tfrecs.layers.dropout import Dropout
from tfrecs.layers.normalization import LayerNormalization

NORMS = ("paper", "pre", "post")


def causal_mask(valid: tf.Tensor) -> tf.Tensor:
    """Returns which positions may attend to which: the valid ones before them, and themselves.

    That padding reads itself keeps its softmax defined, and apart from everything else.

    Args:
        valid: `[batch, length]` bool, False at padding.

    Returns:
        `[batch, length, length]` bool; `[b, i, j]` says whether position i reads position j.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> tf.cast(tfrecs.layers.causal_mask(tf.constant([[False, True, True]])), tf.int32).numpy()
        array([[[1, 0, 0],
                [0, 1, 0],
                [0, 1, 1]]], dtype=int32)
    """
    position = tf.range(tf.shape(valid)[1])
    earlier = (position[:, tf.newaxis] > position) & valid[:, tf.newaxis, :]
    return earlier | (position[:, tf.newaxis] == position)


def padding_mask(valid: tf.Tensor) -> tf.Tensor:
    """Returns which positions may attend to which in both directions: all valid ones, themselves.

    That padding reads itself keeps its softmax defined.

    Args:
        valid: `[batch, length]` bool, False at padding.

    Returns:
        `[batch, length, length]` bool; `[b, i, j]` says whether position i reads position j.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> valid = tf.constant([[False, True, True]])
        >>> tf.cast(tfrecs.layers.padding_mask(valid), tf.int32).numpy()
        array([[[1, 1, 1],
                [0, 1, 1],
                [0, 1, 1]]], dtype=int32)
    """
    position = tf.range(tf.shape(valid)[1])
    return valid[:, tf.newaxis, :] | (position[:, tf.newaxis] == position)


@registered
class SelfAttention(Configured, keras.layers.Layer):
    """Scaled dot-product attention with several heads (Vaswani et al., 2017, section 3.2).

    Queries may come from another tensor than keys and values, as SASRec's block needs. Products run
    in the compute dtype, the softmax in float32.

    Args:
        num_heads: Number of heads; must divide the input's last dimension.
        dropout: Rate of the dropout on the attention weights.
        seed: Seed of initializers and dropout.

    Raises:
        ValueError: If `num_heads` does not divide the input's last dimension.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> x = tf.random.normal([2, 5, 8])
        >>> mask = tfrecs.layers.causal_mask(tf.ones([2, 5], tf.bool))
        >>> tfrecs.layers.SelfAttention(num_heads=2)(x, x, mask).shape
        TensorShape([2, 5, 8])
    """

    def __init__(
        self, num_heads: int = 1, dropout: float = 0.0, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._drop = Dropout(dropout, part_seeds(seed, 1)(0), dtype=tf.float32, name="drop")

    def build(self, input_shape: Any) -> None:
        """Creates the projections for inputs `[batch, length, dim]`."""
        dim = input_shape[-1]
        if dim % self.num_heads:
            raise ValueError(
                f"num_heads ({self.num_heads}) must divide the size of the vectors ({dim})."
            )

        part_seed = part_seeds(self.seed, 1)

        def dense(name: str, units: int, scale: float, index: int) -> keras.layers.Dense:
            init = keras.initializers.VarianceScaling(
                scale, "fan_avg", "uniform", seed=part_seed(index)
            )
            return keras.layers.Dense(
                units, kernel_initializer=init, dtype=self.dtype_policy, name=name
            )

        self._query = dense("query", dim, 1.0, 1)
        # One product makes keys and values; scale 1.5 gives each half Glorot's limit.
        self._key_value = dense("key_value", 2 * dim, 1.5, 2)
        self._output = dense("output", dim, 1.0, 3)
        super().build(input_shape)

    def call(
        self, inputs: tf.Tensor, memory: tf.Tensor, mask: tf.Tensor, training: bool | None = None
    ) -> tf.Tensor:
        """Attends from `inputs` to `memory`.

        Args:
            inputs: `[batch, queries, dim]`, what the queries are made of.
            memory: `[batch, length, dim]`, what the keys and values are made of.
            mask: `[batch, queries, length]` bool, from `causal_mask`.
            training: Whether dropout applies.

        Returns:
            `[batch, queries, dim]`.
        """
        (query,) = self._heads(self._query(inputs), 1)
        key, value = self._heads(self._key_value(memory), 2)
        scores = tf.matmul(query * query.shape[-1] ** -0.5, key, transpose_b=True)
        scores = tf.cast(scores, tf.float32)
        weights = tf.nn.softmax(tf.where(mask[:, tf.newaxis], scores, scores.dtype.min))
        weights = tf.cast(self._drop(weights, training=training), value.dtype)
        return self._output(self._join(tf.matmul(weights, value)))

    def _heads(self, x: tf.Tensor, parts: int) -> list[tf.Tensor]:
        """Returns the parts that x has side by side, `[batch, heads, length, dim / heads]` each."""
        if self.num_heads == 1:  # no transposition to pay for
            return [tf.expand_dims(part, 1) for part in tf.split(x, parts, axis=-1)]
        shape = tf.shape(x)
        width = x.shape[-1] // (parts * self.num_heads)
        x = tf.reshape(x, [shape[0], shape[1], parts, self.num_heads, width])
        return tf.unstack(tf.transpose(x, [2, 0, 3, 1, 4]))

    def _join(self, x: tf.Tensor) -> tf.Tensor:
        if self.num_heads == 1:
            return tf.squeeze(x, 1)
        x = tf.transpose(x, [0, 2, 1, 3])
        shape = tf.shape(x)
        return tf.reshape(x, [shape[0], shape[1], x.shape[2] * x.shape[3]])


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
    FeedForward is two dense layers with `activation` between, dropout after each. Attention ends in a
    projection of the heads side by side, as in the original transformer; the authors' code has no
    such projection.

    Args:
        num_heads: Attention heads.
        hidden_dim: Width of the feed-forward layer; default the input's, as in the paper.
        dropout: Rate of all dropouts in the block.
        norm: "paper", "pre" or "post".
        epsilon: Added to the variance by the layer normalisations.
        activation: Between the feed-forward layers: SASRec has "relu", BERT4Rec "gelu".
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
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
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
            self.num_heads, self.dropout, part_seed(10), dtype=policy, name="attention"
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
    ) -> tf.Tensor:
        """Returns the block's output, `[batch, length, dim]` like `inputs`.

        Args:
            inputs: `[batch, length, dim]`.
            mask: `[batch, length, length]` bool, from `causal_mask`.
            training: Whether dropout applies.
            last_only: Whether to compute the last position's output only, `[batch, 1, dim]`, which
                is all that a recommendation needs of the last block.
        """
        x = memory = inputs
        if last_only:
            x, mask = x[:, -1:], mask[:, -1:]
        if self.norm == "paper":
            query = self._norm_attention(x)
            attended = self._attention(query, memory, mask, training=training)
            x = self._norm_feed_forward(query + attended)
            return x + self._feed_forward(x, training)
        if self.norm == "pre":
            memory = self._norm_attention(memory)
            query = memory[:, -1:] if last_only else memory
            x = x + self._attention(query, memory, mask, training=training)
            return x + self._feed_forward(self._norm_feed_forward(x), training)
        x = self._norm_attention(x + self._attention(x, memory, mask, training=training))
        return self._norm_feed_forward(x + self._feed_forward(x, training))

    def _feed_forward(self, x: tf.Tensor, training: bool | None) -> tf.Tensor:
        hidden = self._hidden_drop(self._hidden(x), training=training)
        return self._output_drop(self._output(hidden), training=training)
