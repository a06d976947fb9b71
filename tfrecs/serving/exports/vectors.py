"""Vectors of users and items: as signatures, for new ones too, and as Parquet files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfrecs._keras import tf
from tfrecs.data import EvaluationSet
from tfrecs.serving.exports.queries import RawQueries
from tfrecs.serving.exports.raw_columns import RawColumns
from tfrecs.serving.exports.signature import (
    Raw,
    RawIds,
    RawInput,
    Signature,
    VocabularyFiles,
)
from tfrecs.serving.index.item_table import ItemTable

if TYPE_CHECKING:
    from tfrecs.models import Model


class Vectors(tf.Module):  # type: ignore[misc]
    """The signatures `query_vectors` and `item_vectors` of a product model.

    Where a tower reads features, their raw values are inputs beside the id. A missing value falls
    back to the stored value for the id: a known id needs nothing else, and a new one brings its
    features. An unknown item without features gets zeros, which score 0 for everybody.
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
        # Methods and not the model: `tf.Module` would save everything that the model holds.
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
    """Which rows of a column hold nothing: zeros for ids and vectors, NaN for a number."""
    if encoded.dtype.is_floating and encoded.shape.rank == 1:
        return tf.math.is_nan(encoded)
    return tf.reduce_all(encoded == 0, axis=list(range(1, encoded.shape.rank)), keepdims=True)


def write_vectors(
    model: Model,
    folder: str | os.PathLike[str],
    users: EvaluationSet | None = None,
    *,
    batch_size: int = 1024,
) -> list[Path]:
    """Writes `items.parquet`, and `users.parquet` where users are given.

    Each has the raw ids, `item_id` or `user_id`, and their `vector`, a list of float32. The score
    of a user and an item is the inner product of their vectors.

    Args:
        model: A model whose score is a product of two vectors, with a vocabulary.
        folder: Where to write; made if missing.
        users: Users with the histories that make their vectors, such as `split.test`. Of a user
            with several rows the last is taken.
        batch_size: Users at once.

    Returns:
        The paths written.

    Raises:
        ValueError: If the model has no vectors, or no vocabulary of items.

    Example:
        >>> import tempfile, pandas as pd, tfrecs
        >>> items = tfrecs.data.Vocabulary(["milk", "bread"])
        >>> model = tfrecs.models.TwoTower(items, users=3, dim=4, pooling=None)
        >>> (path,) = tfrecs.serving.write_vectors(model, tempfile.mkdtemp())
        >>> pd.read_parquet(path)["item_id"].tolist()
        ['milk', 'bread']
    """
    if not model.is_product:
        raise ValueError(f"{type(model).__name__} scores without vectors: there are none to write.")
    if model.items is None:
        raise ValueError("The model has no vocabulary of items, so their raw ids are not known.")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "items.parquet"]
    _write(written[0], "item_id", model.items.ids, np.asarray(model.item_vectors()))
    if users is None:
        return written
    _, place = np.unique(users.user_ids[::-1], return_index=True)
    users = users.subset(np.sort(len(users) - 1 - place))
    vectors = []
    for start in range(0, len(users), batch_size):
        rows = np.arange(start, min(start + batch_size, len(users)))
        features: dict[str, Any] = {"user_id": tf.constant(users.user_ids[rows])}
        if model.max_history is not None:
            features["history"] = tf.constant(users.history.padded(rows, model.max_history))
            if model.event_inputs is not None:
                features |= users.event_features(rows, model.max_history, model.event_inputs)
        vectors.append(np.asarray(model.query_vectors(features)))
    written.append(folder / "users.parquet")
    _write(written[1], "user_id", users.users.decode(users.user_ids), np.concatenate(vectors))
    return written


def _write(path: Path, name: str, ids: np.ndarray, vectors: np.ndarray) -> None:
    flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
    column = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    raw = pa.array(ids.tolist(), pa.int64() if ids.dtype == np.int64 else pa.string())
    pq.write_table(pa.table({name: raw, "vector": column}), path)
