"""What a loss may ask of a model: the scores of items for each query of a batch."""

from __future__ import annotations

from collections.abc import Callable

from tfrecs._keras import tf


class Scores:
    """The scores of items for each query of a batch, computed when a loss asks for them.

    Losses decide which items they compare, and ask for just those scores. A model whose score is
    not a product of two vectors derives from this class and implements `of` and `shared`, both
    with float32 results; losses over sampled items need no more. All other models use
    `DotProductScores`.

    Args:
        num_items: Number of items, n.
        user_ids: `[num_queries]`, whose queries they are, for negatives that exclude what a user
            knows; None where users have no ids.
        positive_ids: `[num_queries, p]` item ids, padded with 0: other positives of a query, such
            as the user's history, which `negatives.InBatch` masks; None for none.
        valid: `[num_queries]` bool, False for queries without a target, which fill a batch of
            static shape up: `negatives.InBatch` takes no negatives from them. None for all.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> class Distances(tfrecs.losses.Scores):
        ...     def of(self, ids):
        ...         places = tf.constant([1.0, 5.0]) if ids.shape.rank == 1 else [[1.0], [5.0]]
        ...         return -abs(places - tf.cast(ids, tf.float32))
        ...
        ...     def shared(self, ids):
        ...         return self.of(ids[tf.newaxis])
        >>> Distances(num_items=9).sampled(tf.constant([1, 4, 9])).numpy().tolist()
        [[-0.0, -3.0, -8.0], [-4.0, -1.0, -4.0]]
    """

    def __init__(
        self,
        num_items: int,
        user_ids: tf.Tensor | None = None,
        positive_ids: tf.Tensor | None = None,
        valid: tf.Tensor | None = None,
    ) -> None:
        self.num_items = num_items
        self.user_ids = user_ids
        self.positive_ids = positive_ids
        self.valid = valid

    def of(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the scores of one item a query, `ids` `[num_queries]`, or of k, `[.., k]`."""
        raise NotImplementedError(f"{type(self).__name__} must implement of.")

    def shared(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns each query's scores of the same items: `ids` `[k]` gives `[num_queries, k]`."""
        raise NotImplementedError(f"{type(self).__name__} must implement shared.")

    def sampled(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the scores `[num_queries, k]` of shared `ids` `[k]` or own ones, `[.., k]`."""
        return self.shared(ids) if ids.shape.rank == 1 else self.of(ids)

    def __call__(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns `sampled(ids)`: samplers that choose by score take scores as a function."""
        return self.sampled(ids)

    def products(self, loss: str) -> DotProductScores:
        """Returns the scores as products of vectors.

        Args:
            loss: Name of the loss that asks for them, for the error.

        Raises:
            TypeError: If they are not.
        """
        raise TypeError(
            f"{loss} needs the vectors of all items, and the scores of this model "
            f"({type(self).__name__}) are no products of vectors: train it with a loss over "
            "sampled items, such as SampledSoftmax, BinaryCrossEntropy or BPR."
        )


class DotProductScores(Scores):
    """Scores that are inner products of query vectors with item vectors.

    All is computed in float32, whatever the model's precision policy.

    Args:
        queries: `[num_queries, dim]`.
        num_items: Number of items, n.
        rows: Gives the vectors `[..., dim]` of item ids `[...]` in 1..n.
        table: Gives the vectors `[n, dim]` of all items, row `i` that of item `i + 1`.
        user_ids: `[num_queries]` user ids, or None; see `Scores`.
        positive_ids: `[num_queries, p]` item ids, or None; see `Scores`.
        valid: `[num_queries]` bool, or None; see `Scores`.

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
        user_ids: tf.Tensor | None = None,
        positive_ids: tf.Tensor | None = None,
        valid: tf.Tensor | None = None,
    ) -> None:
        super().__init__(num_items, user_ids, positive_ids, valid)
        self.queries = tf.cast(queries, tf.float32)
        self._rows = rows
        self._table = table

    def products(self, loss: str) -> DotProductScores:
        """Returns itself."""
        return self

    def item_vectors(self) -> tf.Tensor:
        """Returns the float32 vectors of all items, `[num_items, dim]`."""
        return tf.cast(self._table(), tf.float32)

    def vectors(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the float32 vectors `[..., dim]` of item `ids` `[...]` in 1..n."""
        return tf.cast(self._rows(ids), tf.float32)

    def of(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the scores of one item a query, `ids` `[num_queries]`, or of k, `[.., k]`."""
        vectors = self.vectors(ids)
        if ids.shape.rank == 1:
            return tf.reduce_sum(self.queries * vectors, axis=-1)
        return tf.linalg.matvec(vectors, self.queries)

    def shared(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns each query's scores of the same items: `ids` `[k]` gives `[num_queries, k]`."""
        return tf.matmul(self.queries, self.vectors(ids), transpose_b=True)
