"""How likely a row of the training data is to hold an item: counted, or estimated on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfrecs._keras import keras, tf
from tfrecs.configured import Configured, check_integer, registered
from tfrecs.data import Split
from tfrecs.negatives.replicas import all_gather

# A prime that leaves a product of two smaller numbers within int64.
_PRIME = 2**31 - 1


@registered
class ItemFrequency(Configured, keras.layers.Layer):
    """The share of the log's interactions that an item has: log p of a draw from the log.

    In-batch negatives are drawn this way, and the logQ correction of `losses.SampledSoftmax` and
    `tasks.Retrieval` takes it from here. An item that the log does not have counts as seen once.

    Args:
        counts: `[n]`, how often the log has each item 1..n; or the number n, where the weights
            will be loaded (configs store only n). `from_split` counts them.

    Raises:
        ValueError: If a count is negative, or all are 0.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> frequency = tfrecs.negatives.ItemFrequency([3, 1])
        >>> tf.exp(frequency(tf.constant([1, 2]))).numpy().round(4).tolist()
        [0.75, 0.25]
    """

    data_arguments = ("counts",)

    def __init__(
        self, counts: Sequence[int] | np.ndarray | int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        if counts is None:
            raise ValueError("ItemFrequency needs counts; ItemFrequency.from_split counts a split.")
        counted = np.ones(counts) if isinstance(counts, int) else np.asarray(counts, np.float64)
        if counted.ndim != 1 or (counted < 0).any() or not counted.sum() > 0:
            raise ValueError(
                "counts must say how often the log has each item 1..n: a vector of numbers that "
                f"are not negative and not all 0, not {counts!r}."
            )
        self.num_items = len(counted)
        self.remember(counts=self.num_items)
        # Row 0 is for ids out of range: padding, and items newer than the counts.
        seen = np.maximum(np.concatenate([[1.0], counted]), 1.0)
        self._log_probability = self.add_weight(
            name="log_probability",
            shape=(self.num_items + 1,),
            initializer=lambda shape, dtype=None: tf.constant(
                np.log(seen) - np.log(counted.sum()), dtype
            ),
            trainable=False,
        )

    @classmethod
    def from_split(cls, split: Split, **kwargs: Any) -> ItemFrequency:
        """Returns how often each item is a target of a split's training part.

        Args:
            split: What the model is trained on.
            **kwargs: As every Keras layer.
        """
        return cls(split.train.target_counts[1:-1], **kwargs)

    def grow_from(self, smaller: ItemFrequency) -> None:
        """Does nothing: items are counted in the new split, not the old one."""
        del smaller

    def update(self, ids: tf.Tensor, valid: tf.Tensor | None = None) -> None:
        """Does nothing: what was counted stays. `StreamingFrequency` learns here."""
        del ids, valid

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the log-probability of each of the `ids`, float32 of their shape."""
        rows = tf.where((ids > 0) & (ids <= self.num_items), ids, 0)
        return tf.gather(self._log_probability, rows)


@registered
class StreamingFrequency(Configured, keras.layers.Layer):
    """Estimates how likely a row of a batch is to hold an item (Yi et al., RecSys 2019).

    Two arrays remember, for each bucket that items are hashed to, when it was last seen (A) and a
    running mean of the time between two sightings (B). At time t, and for an item y in the batch,

        B[h(y)] <- (1 - a) B[h(y)] + a (t - A[h(y)]),   A[h(y)] <- t,   p(y) = 1 / B[h(y)]

    It needs no pass over the data, and follows items that come and go. Time is counted in rows, not
    in batches as in the paper, so that p is the probability of a row whatever the batch size; c
    sightings in one batch are taken as c equal gaps. With batches of one row that is the paper's
    algorithm. A first sighting sets B. An item never seen has p = 1 / t.

    The arrays are weights, so checkpoints hold them. All replicas of a `tf.distribute` strategy
    learn from the whole batch and hold the same.

    Args:
        num_buckets: Buckets of each hash function. An id's first bucket is its remainder: a number
            above the largest id means no collisions.
        num_hashes: Hash functions; of their estimates the rarest counts, as collisions only make
            items look more frequent.
        learning_rate: a, in (0, 1]: the estimate forgets within about 1 / a sightings.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> frequency = tfrecs.negatives.StreamingFrequency(num_buckets=10)
        >>> for _ in range(5):
        ...     frequency.update(tf.constant([3, 7, 7, 7]))
        >>> tf.exp(frequency(tf.constant([3, 7]))).numpy().round(4).tolist()
        [0.25, 0.75]
    """

    def __init__(
        self, num_buckets: int, num_hashes: int = 1, learning_rate: float = 0.05, **kwargs: Any
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        check_integer("num_buckets", num_buckets, least=1)
        check_integer("num_hashes", num_hashes, least=1)
        if not 0 < learning_rate <= 1:
            raise ValueError(f"learning_rate must be in (0, 1], not {learning_rate!r}.")
        self.num_buckets = num_buckets
        self.num_hashes = num_hashes
        self.learning_rate = learning_rate
        cells = num_buckets * num_hashes
        self._rows_seen = self._state("rows_seen", (), tf.int64)
        self._last_seen = self._state("last_seen", (cells,), tf.int64)
        self._mean_gap = self._state("mean_gap", (cells,), tf.float32)

    def _state(self, name: str, shape: tuple[int, ...], dtype: tf.DType) -> tf.Variable:
        return self.add_weight(
            name=name,
            shape=shape,
            dtype=dtype,
            initializer="zeros",
            trainable=False,
            # As in StepCounter: every replica writes its own copy, and the same into it.
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    def update(self, ids: tf.Tensor, valid: tf.Tensor | None = None) -> None:
        """Learns from the ids of a batch, under a strategy from all replicas'.

        Args:
            ids: `[rows]` integers.
            valid: `[rows]` bool, False for rows that only fill the batch up; None for all rows.
        """
        ids = all_gather(tf.reshape(ids, [-1]))
        rows = tf.ones_like(ids, tf.int64)
        if valid is not None:
            rows = all_gather(tf.cast(valid, tf.int64))
        now = self._rows_seen + tf.reduce_sum(rows)
        cells = tf.reshape(self._cells(ids), [-1])
        weights = tf.tile(tf.cast(rows, tf.float32), [self.num_hashes])
        index = cells[:, tf.newaxis]
        # Ids that share a cell all write the same into it.
        sightings = tf.gather(tf.scatter_nd(index, weights, self._mean_gap.shape), cells)
        last, gap = tf.gather(self._last_seen, cells), tf.gather(self._mean_gap, cells)
        kept = tf.where(last > 0, tf.pow(1 - self.learning_rate, sightings), 0.0)
        new_gap = kept * gap + (1 - kept) * tf.cast(now - last, tf.float32) / sightings
        seen = sightings > 0
        self._mean_gap.assign(
            tf.tensor_scatter_nd_update(self._mean_gap, index, tf.where(seen, new_gap, gap))
        )
        self._last_seen.assign(
            tf.tensor_scatter_nd_update(self._last_seen, index, tf.where(seen, now, last))
        )
        self._rows_seen.assign(now)

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the log-probability of each of the `ids`, float32 of their shape."""
        gaps = tf.gather(self._mean_gap, self._cells(ids))
        unseen = tf.cast(tf.maximum(self._rows_seen, 1), tf.float32)
        seen = tf.reduce_all(gaps > 0, axis=0)
        return -tf.math.log(tf.where(seen, tf.reduce_max(gaps, axis=0), unseen))

    def _cells(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns where each hash function's bucket of `ids` stands: `[num_hashes, *ids.shape]`."""
        if not ids.dtype.is_integer:
            raise TypeError(f"StreamingFrequency needs integer ids, not {ids.dtype.name}.")
        ids = tf.cast(ids, tf.int64)
        draw = np.random.default_rng(0).integers(1, _PRIME, size=(self.num_hashes, 2))
        buckets = [ids % self.num_buckets]
        # Functions of Carter and Wegman's universal family.
        for slope, shift in draw.tolist()[1:]:
            buckets.append((slope * (ids % _PRIME) + shift) % _PRIME % self.num_buckets)
        return tf.stack([cell + i * self.num_buckets for i, cell in enumerate(buckets)])
