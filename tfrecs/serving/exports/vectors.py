"""The signatures that give vectors: of users and items known, and of new ones by their features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tfrecs._keras import tf
from tfrecs.serving.exports.raw_columns import RawColumns
from tfrecs.serving.exports.raw_ids import RawIds, VocabularyFiles
from tfrecs.serving.exports.signature import Raw, RawInput, RawQueries, Signature
from tfrecs.serving.index.exact import ItemTable

if TYPE_CHECKING:
    from tfrecs.models import Model


class Vectors(tf.Module):  # type: ignore[misc]
    """The signatures `query_vectors` and `item_vectors` of a product model.

    Where a tower reads features, their raw values are inputs beside the id. A missing value is that
    which the export knows of the id: a known id needs nothing else, and a new one brings what is
    known of it. An unknown item without features gets zeros, which score 0 for everybody.

    Args:
        model: The model.
        items: The raw ids of its items.
        queries: What requests say of users.
        table: The vectors of its items.
        files: Where the vocabularies are written.
    """

    def __init__(
        self,
        model: Model,
        items: RawIds,
        queries: RawQueries,
        table: ItemTable,
        files: VocabularyFiles,
    ) -> None:
        super().__init__(name="vectors")
        # Methods, not the model itself: `tf.Module` would save all that hangs on it.
        self._of_queries = model.query_vectors
        self._of_items: Callable[..., tf.Tensor] = model.item_vectors
        self._items, self._queries, self._table = items, queries, table
        about_users = dict(queries.inputs)
        user_lookup, item_lookup = model.feature_lookups
        self._user_features = self._item_features = None
        if user_lookup is not None:
            self._user_features = _Features(user_lookup, files, about_users)
            about_users |= self._user_features.inputs
        about_items = {"item_id": RawInput.of_ids("item_id", "Id", items)}
        if item_lookup is not None:
            self._item_features = _Features(item_lookup, files, about_items)
            about_items |= self._item_features.inputs
        self._inputs = {"query_vectors": about_users, "item_vectors": about_items}

    def signatures(self) -> dict[str, Signature]:
        """Returns the signatures by name."""
        functions = {"query_vectors": self._query_vectors, "item_vectors": self._vectors_of_items}
        return {name: Signature(f, self._inputs[name]) for name, f in functions.items()}

    def _query_vectors(self, raw: Raw) -> dict[str, tf.Tensor]:
        features = self._queries.features(raw)
        if self._user_features is not None:
            given = self._user_features(features["user_id"], raw)
            features |= {f"user.{column}": values for column, values in given.items()}
        return {"vector": tf.cast(self._of_queries(features), tf.float32)}

    def _vectors_of_items(self, raw: Raw) -> dict[str, tf.Tensor]:
        ids = self._items(raw["item_id"])
        if self._item_features is not None:
            vectors = self._of_items(ids, features=self._item_features(ids, raw))
            return {"vector": tf.cast(vectors, tf.float32)}
        return {"vector": self._table.of(ids)}


class _Features(tf.Module):  # type: ignore[misc]
    """The features of ids: from the request, or from the model's table where one is missing."""

    def __init__(self, lookup: Any, files: VocabularyFiles, taken: Mapping[str, RawInput]) -> None:
        super().__init__(name="features")
        self._known = lookup.call
        self._columns = RawColumns(lookup.schema, files, taken)
        self.inputs = self._columns.inputs

    def __call__(self, ids: tf.Tensor, raw: Raw) -> dict[str, tf.Tensor]:
        """Returns the encoded columns."""
        known = self._known(ids)
        return {
            name: tf.where(_is_missing(given), known[name], given)
            for name, given in self._columns(raw).items()
        }


def _is_missing(encoded: tf.Tensor) -> tf.Tensor:
    """Where a row of a column holds nothing: zeros for ids and vectors, NaN for a number."""
    if encoded.dtype.is_floating and encoded.shape.rank == 1:
        return tf.math.is_nan(encoded)
    return tf.reduce_all(encoded == 0, axis=list(range(1, encoded.shape.rank)), keepdims=True)
