"""The signature that recommends: raw ids of users in, raw ids and scores of the best items out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfrecs._keras import tf
from tfrecs.data import Vocabulary
from tfrecs.serving.exports.known_items import KnownItemsTable
from tfrecs.serving.exports.raw_ids import RawIds, raw_table
from tfrecs.serving.exports.signature import Raw, RawInput, RawQueries, Signature
from tfrecs.serving.index.exact import ItemTable, best_products, best_scores
from tfrecs.serving.index.scann import ScannIndex

if TYPE_CHECKING:
    from tfrecs.models import Model


class TopItems(tf.Module):  # type: ignore[misc]
    """The signature `serving_default` of a model that scores all items for a user.

    A product model's item vectors are a table that was computed once: a request costs a query
    vector and the search of the table. Without ScaNN everything is plain TensorFlow: no Python, no
    custom operation, no compiled function, nothing that a stock server lacks.

    Args:
        model: A model that scores items for `{"history": [batch, max_history]}`,
            `{"user_id": [batch]}`, or both.
        vocabulary: The raw ids of its items.
        items: The same in the graph.
        queries: What requests say of users.
        table: The vectors of items; None for a model without vectors.
        k: Number of items to return.
        num_exclusions: Width of the input `exclude`; 0 for none.
        leave_out_history: Whether the items of a request's history are never recommended.
        known: The items of each user that are never recommended; None for none.
        scann: Searches the table instead of the exact search.
    """

    def __init__(
        self,
        model: Model,
        vocabulary: Vocabulary,
        items: RawIds,
        queries: RawQueries,
        table: ItemTable | None,
        k: int,
        num_exclusions: int,
        *,
        leave_out_history: bool = True,
        known: KnownItemsTable | None = None,
        scann: ScannIndex | None = None,
    ) -> None:
        super().__init__(name="top_items")
        # Methods, not the model itself: `tf.Module` would save all that hangs on it.
        self._query_vectors, self._score = model.query_vectors, model.score
        self._raw_ids = raw_table(vocabulary, items.path)
        self._queries, self._table, self._scann = queries, table, scann
        self._k, self._known = k, known
        self._inputs = dict(queries.inputs)
        if num_exclusions:
            self._inputs["exclude"] = RawInput.of_ids("exclude", "Ids", items, 2, num_exclusions)
        left_out = ("history", "exclude") if leave_out_history else ("exclude",)
        self._left_out = [name for name in left_out if name in self._inputs]

    def signatures(self) -> dict[str, Signature]:
        """Returns the signature by its name."""
        return {"serving_default": Signature(self._recommend, self._inputs)}

    def _recommend(self, raw: Raw) -> dict[str, tf.Tensor]:
        features = self._queries.features(raw)
        batch = tf.shape(next(iter(raw.values())))[0]
        # Ids of items, 0 for none.
        lists = [tf.zeros([batch, 0], tf.int32)]
        if self._left_out:
            named = tf.concat([raw[name] for name in self._left_out], axis=1)
            lists.append(self._queries.known(named))
        if self._known is not None:
            lists.append(self._known(features["user_id"]))
        best, rows = self._best(features, tf.concat(lists, axis=1) - 1)
        return {"item_id": self._raw_ids.lookup(tf.cast(rows, tf.int64)), "score": best}

    def _best(
        self, features: dict[str, tf.Tensor], excluded: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        if self._table is None:
            return best_scores(tf.cast(self._score(features), tf.float32), self._k, excluded)
        queries = tf.cast(self._query_vectors(features), tf.float32)
        if self._scann is not None:
            return self._scann(queries, self._k, excluded)
        vectors = self._table.vectors
        return best_products(queries, vectors, self._k, excluded, self._table.largest_norm)
