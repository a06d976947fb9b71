"""The signature that recommends: raw ids of users in, raw ids and scores of the best items out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfrecs._keras import tf
from tfrecs.data import Vocabulary
from tfrecs.serving.queries import RawQueries
from tfrecs.serving.raw_ids import RawIds, raw_table
from tfrecs.serving.signature import Raw, Signature

if TYPE_CHECKING:
    from tfrecs.models import Model


class TopItems(tf.Module):  # type: ignore[misc]
    """The signature `serving_default` of a model that scores all items for a user.

    A product model's item vectors are a table that was computed once: a request costs a query
    vector, one matrix product and one top-k. Everything is plain TensorFlow: no Python, no custom
    operation, no compiled function, nothing that a stock server lacks.

    Args:
        model: A model that scores items for `{"history": [batch, max_history]}`,
            `{"user_id": [batch]}`, or both.
        vocabulary: The raw ids of its items.
        items: The same in the graph.
        queries: What requests say of users.
        item_vectors: `[1 + n, dim]`, row i that of item i; None for a model without vectors.
        k: Number of items to return.
    """

    def __init__(
        self,
        model: Model,
        vocabulary: Vocabulary,
        items: RawIds,
        queries: RawQueries,
        item_vectors: tf.Variable | None,
        k: int,
    ) -> None:
        super().__init__(name="top_items")
        # Methods, not the model itself: `tf.Module` would save all that hangs on it.
        self._query_vectors, self._score = model.query_vectors, model.score
        self._raw_ids = raw_table(vocabulary, items.path)
        self._queries = queries
        self._item_vectors = item_vectors
        self._k = k

    def signatures(self) -> dict[str, Signature]:
        """Returns the signature by its name."""
        return {"serving_default": Signature(self._recommend, self._queries.inputs)}

    def _recommend(self, raw: Raw) -> dict[str, tf.Tensor]:
        # Among the ids never to be recommended is 0, padding.
        items = tf.pad(self._queries.history(raw), [[0, 0], [1, 0]])
        scores = self._scores(self._queries.features(raw))
        best, ids = tf.math.top_k(_without(scores, items), self._k)
        available = best > best.dtype.min
        raw_ids = self._raw_ids.lookup(tf.where(available, tf.cast(ids, tf.int64) - 1, -1))
        return {"item_id": raw_ids, "score": best}

    def _scores(self, features: dict[str, tf.Tensor]) -> tf.Tensor:
        """Scores `[batch, 1 + n]`, column i of item i."""
        if self._item_vectors is None:
            scores = tf.cast(self._score(features), tf.float32)
            return tf.pad(scores, [[0, 0], [1, 0]])
        queries = tf.cast(self._query_vectors(features), tf.float32)
        return tf.matmul(queries, self._item_vectors, transpose_b=True)


def _without(scores: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
    """`scores` with the least float32 at `items` (0 included) and wherever no number stands."""
    # Top-k returns nonsense around NaN, and JSON has no word for infinity.
    lowest = scores.dtype.min
    scores = tf.where(tf.math.is_finite(scores), scores, lowest)
    row = tf.broadcast_to(tf.range(tf.shape(items)[0])[:, tf.newaxis], tf.shape(items))
    seen = tf.stack([row, items], axis=-1)
    return tf.tensor_scatter_nd_update(scores, seen, tf.fill(tf.shape(items), lowest))
