"""What a loss may ask of a model: the scores of items for each query of a batch."""

from __future__ import annotations

from collections.abc import Callable

from tfrecs._keras import tf


class DotProductScores:
    """Scores that are inner products of query vectors with item vectors, computed when asked for.

    Losses decide which items they compare; this object computes just those scores, in float32
    whatever the model's precision policy.

    Args:
        queries: `[num_queries, dim]`.
        num_items: Number of items, n.
        rows: Gives the vectors `[..., dim]` of item ids `[...]` in 1..n.
        table: Gives the vectors `[n, dim]` of all items, row `i` that of item `i + 1`.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> items = tf.constant([[1.0, 0.0], [0.0, 2.0]])
        >>> scores = tfrecs.losses.DotProductScores(
        ...     tf.constant([[3.0, 5.0]]), 2, lambda ids: tf.gather(items, ids - 1), lambda: items
        ... )
        >>> scores.of(tf.constant([2])).numpy().tolist()
        [10.0]
        >>> scores.shared(tf.constant([1, 2])).numpy().tolist()
        [[3.0, 10.0]]
    """

    def __init__(
        self,
        queries: tf.Tensor,
        num_items: int,
        rows: Callable[[tf.Tensor], tf.Tensor],
        table: Callable[[], tf.Tensor],
    ) -> None:
        self.queries = tf.cast(queries, tf.float32)
        self.num_items = num_items
        self._rows = rows
        self._table = table

    def item_vectors(self) -> tf.Tensor:
        """Returns the float32 vectors of all items, `[num_items, dim]`."""
        return tf.cast(self._table(), tf.float32)

    def of(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns each query's score of its own item, `ids` `[num_queries]`, or items `[.., k]`."""
        vectors = tf.cast(self._rows(ids), tf.float32)
        if ids.shape.rank == 1:
            return tf.reduce_sum(self.queries * vectors, axis=-1)
        return tf.linalg.matvec(vectors, self.queries)

    def shared(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns each query's scores of the same items: `ids` `[k]` gives `[num_queries, k]`."""
        return tf.matmul(self.queries, tf.cast(self._rows(ids), tf.float32), transpose_b=True)

    def sampled(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the scores `[num_queries, k]` of shared `ids` `[k]` or own ones, `[.., k]`."""
        return self.shared(ids) if ids.shape.rank == 1 else self.of(ids)
