"""Self-attention over a history: masks, heads and positions."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, check_integer, part_seeds, registered
from tfrecs.layers.dropout import Dropout
from tfrecs.layers.filters import CausalFilter
from tfrecs.layers.positions import RelativePositionBias, TimeIntervalBias, rotated

POSITIONS = ("relative", "rotary")


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


def check_position(position: str | None) -> None:
    """Refuses an unknown kind of positions.

    Args:
        position: One of `POSITIONS`, or None.

    Raises:
        ValueError: If it is something else.
    """
    if position is not None and position not in POSITIONS:
        raise ValueError(f"position must be {' or '.join(POSITIONS)} or None, not {position!r}.")


@registered
class AttentionScores(Configured, keras.layers.Layer):
    """Products of queries and keys, with what attention knows of positions and times.

    Args:
        num_heads: Number of heads.
        position: "relative", "rotary" or None; see `SelfAttention`.
        max_distance: Distances that "relative" tells apart.
        time_intervals: Whether a `TimeIntervalBias` is added.

    Raises:
        ValueError: If `position` is unknown.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> x = tf.ones([4, 2, 5, 8])  # Two heads of width 8.
        >>> tfrecs.layers.AttentionScores(num_heads=2, position="rotary")(x, x).shape
        TensorShape([4, 2, 5, 5])
    """

    def __init__(
        self,
        num_heads: int = 1,
        position: str | None = None,
        max_distance: int = 50,
        time_intervals: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_position(position)
        self.position_bias = self.time_bias = None
        if position == "relative":
            self.position_bias = RelativePositionBias(num_heads, max_distance, name="bias")
        if time_intervals:
            self.time_bias = TimeIntervalBias(num_heads, name="time_bias")

    def call(
        self,
        inputs: tf.Tensor,
        keys: tf.Tensor,
        times: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Returns the scores `[batch, heads, queries, length]`, float32.

        Args:
            inputs: `[batch, heads, queries, width]`, those of the last positions.
            keys: `[batch, heads, length, width]`.
            times: As `SelfAttention` takes them.
        """
        keys = tf.cast(keys, inputs.dtype)  # Keras casts the first argument alone.
        queries, length = tf.shape(inputs)[2], tf.shape(keys)[2]
        if self.position == "rotary":
            inputs, keys = rotated(inputs, length), rotated(keys, length)
        scores = tf.cast(tf.matmul(inputs, keys, transpose_b=True), tf.float32)
        if self.position_bias is not None:
            scores += self.position_bias(queries, length)
        if self.time_bias is not None:
            scores += self.time_bias(*needed_times(times))
        return scores


@registered
class SelfAttention(Configured, keras.layers.Layer):
    """Scaled dot-product attention with several heads (Vaswani et al., 2017, section 3.2).

    Queries may come from another tensor than keys and values, as SASRec's block needs. Products run
    in the compute dtype, the softmax in float32.

    Args:
        num_heads: Number of heads; must divide the input's last dimension.
        dropout: Rate of the dropout on the attention weights.
        position: "relative" adds a `RelativePositionBias` to the scores, "rotary" rotates queries
            and keys by their positions (Su et al., "RoFormer", 2021); None leaves positions to the
            inputs.
        max_distance: Distances that "relative" tells apart.
        filter_size: Items of the memory that a `CausalFilter` reads, whose output is added to the
            attention's; 0 for no filter.
        time_intervals: Whether to add a `TimeIntervalBias` to the scores; `call` then needs
            `times`.
        seed: Seed of initializers and dropout.

    Raises:
        ValueError: If `num_heads` does not divide the input's last dimension, `position` is
            unknown, or a head's width is odd under "rotary".

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> x = tf.random.normal([2, 5, 8])
        >>> mask = tfrecs.layers.causal_mask(tf.ones([2, 5], tf.bool))
        >>> tfrecs.layers.SelfAttention(num_heads=2)(x, x, mask).shape
        TensorShape([2, 5, 8])
    """

    def __init__(
        self,
        num_heads: int = 1,
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
        check_integer("filter_size", filter_size, least=0)
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
        self._scores = AttentionScores(
            self.num_heads,
            self.position,
            self.max_distance,
            self.time_intervals,
            dtype=self.dtype_policy,
            name="scores",
        )
        self._filter = None
        if self.filter_size:
            self._filter = CausalFilter(self.filter_size, dtype=self.dtype_policy, name="filter")
        super().build(input_shape)

    def call(
        self,
        inputs: tf.Tensor,
        memory: tf.Tensor,
        mask: tf.Tensor,
        training: bool | None = None,
        times: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Attends from `inputs` to `memory`.

        Args:
            inputs: `[batch, queries, dim]`, what the queries are made of.
            memory: `[batch, length, dim]`, what the keys and values are made of.
            mask: `[batch, queries, length]` bool, from `causal_mask`.
            training: Whether dropout applies.
            times: `[batch, queries]` and `[batch, length]` int64 seconds, the times of the queries
                and of the keys; None without `time_intervals`.

        Returns:
            `[batch, queries, dim]`.
        """
        (query,) = split_heads(self._query(inputs), 1, self.num_heads)
        key, value = split_heads(self._key_value(memory), 2, self.num_heads)
        weights = self._drop(self._weights(query, key, mask, times), training=training)
        weights = tf.cast(weights, value.dtype)
        attended = self._output(join_heads(tf.matmul(weights, value)))
        if self._filter is not None:
            # The last position reads all that is no padding.
            readable = tf.cast(mask[:, -1, :, tf.newaxis], memory.dtype)
            attended += self._filter(memory * readable)[:, -tf.shape(inputs)[1] :]
        return attended

    def attention_weights(
        self,
        inputs: tf.Tensor,
        memory: tf.Tensor,
        mask: tf.Tensor,
        times: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tf.Tensor:
        """Returns how much each position reads of each other, to look at; arguments as `call`.

        Returns:
            `[batch, heads, queries, length]` float32, whose last axis sums to 1.
        """
        (query,) = split_heads(self._query(inputs), 1, self.num_heads)
        key, _ = split_heads(self._key_value(memory), 2, self.num_heads)
        return self._weights(query, key, mask, times)

    def _weights(
        self,
        query: tf.Tensor,
        key: tf.Tensor,
        mask: tf.Tensor,
        times: tuple[tf.Tensor, tf.Tensor] | None,
    ) -> tf.Tensor:
        scores = self._scores(query * query.shape[-1] ** -0.5, key, times)
        return tf.nn.softmax(tf.where(mask[:, tf.newaxis], scores, scores.dtype.min))


def needed_times(
    times: tuple[tf.Tensor, tf.Tensor] | None, last_only: bool = False
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the times of queries and keys, where a layer needs them.

    Args:
        times: `[batch, queries]` and `[batch, keys]`, or None.
        last_only: Whether to return the last query's alone.

    Raises:
        ValueError: If there are none.
    """
    if times is None:
        raise ValueError("time_intervals=True needs times: those of the queries and of the keys.")
    return (times[0][:, -1:], times[1]) if last_only else times


def split_heads(x: tf.Tensor, parts: int, num_heads: int) -> list[tf.Tensor]:
    """Returns the parts that x has side by side, `[batch, heads, length, width]` each.

    Args:
        x: `[batch, length, parts * heads * width]`.
        parts: How many.
        num_heads: Heads of each.
    """
    if num_heads == 1:  # no transposition to pay for
        return [tf.expand_dims(part, 1) for part in tf.split(x, parts, axis=-1)]
    shape = tf.shape(x)
    width = x.shape[-1] // (parts * num_heads)
    x = tf.reshape(x, [shape[0], shape[1], parts, num_heads, width])
    return tf.unstack(tf.transpose(x, [2, 0, 3, 1, 4]))


def join_heads(x: tf.Tensor) -> tf.Tensor:
    """Puts heads `[batch, heads, length, width]` side by side, `[batch, length, heads * width]`."""
    if x.shape[1] == 1:
        return tf.squeeze(x, 1)
    x = tf.transpose(x, [0, 2, 1, 3])
    shape = tf.shape(x)
    return tf.reshape(x, [shape[0], shape[1], x.shape[2] * x.shape[3]])
