"""The signatures that recommend and score: the best items, given items, or rows of raw values."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from tfrecs._keras import tf
from tfrecs.data import Histories
from tfrecs.serving.exports.queries import RawQueries
from tfrecs.serving.exports.raw_columns import RawColumns
from tfrecs.serving.exports.signature import (
    Raw,
    RawIds,
    RawInput,
    Signature,
    VocabularyFiles,
    raw_table,
    tensor_name,
)
from tfrecs.serving.index.exact import best_products, best_scores
from tfrecs.serving.index.item_table import Float32Rows, ItemPrecision, ItemTable
from tfrecs.serving.index.scann import ScannIndex

if TYPE_CHECKING:
    from tfrecs.models import Model


@dataclasses.dataclass(frozen=True)
class Settings:
    """The arguments of `export` that say how an export recommends."""

    k: int
    num_exclusions: int
    index: str
    recommend_known: bool
    known_items: Histories | None
    item_precision: ItemPrecision


class TopItems(tf.Module):  # type: ignore[misc]
    """The signature `serving_default` of a model that scores all items for a user.

    A product model's item vectors are a table that was computed once: a request costs a query
    vector and the search of the table. Without ScaNN everything is plain TensorFlow: no Python, no
    custom operation, no compiled function, nothing that a stock server lacks.

    Args:
        model: The model.
        items: The raw ids of its items.
        queries: What requests say of users.
        table: The vectors of items; None for a model without vectors.
        settings: How the export recommends.
    """

    def __init__(
        self,
        model: Model,
        items: RawIds,
        queries: RawQueries,
        table: ItemTable | None,
        settings: Settings,
    ) -> None:
        super().__init__(name="top_items")
        assert model.items is not None
        # Methods and not the model: `tf.Module` would save everything that the model holds.
        self._query_vectors, self._score = model.query_vectors, model.score
        self._raw_ids = raw_table(model.items, items.path)
        self._queries, self._table, self._k = queries, table, settings.k
        self._known = self._scann = None
        num_known = 0 if settings.recommend_known else model.max_history or 0
        if settings.known_items is not None:
            self._known = KnownItemsTable(settings.known_items)
            num_known = self._known.longest
        if settings.index == "scann":
            assert table is not None
            assert isinstance(table.rows, Float32Rows)
            self._scann = ScannIndex(table.rows, settings.k, settings.num_exclusions + num_known)
        self._inputs = dict(queries.inputs)
        if settings.num_exclusions:
            width = settings.num_exclusions
            self._inputs["exclude"] = RawInput.of_ids("exclude", "Ids", items, 2, width)
        left_out = ("exclude",) if settings.recommend_known else ("history", "exclude")
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
        rows, norm = self._table.rows, self._table.largest_norm
        return best_products(queries, rows, self._k, excluded, norm)


class KnownItemsTable(tf.Module):  # type: ignore[misc]
    """A ragged table of users' known items: row u holds those of user id u, row 0 is empty."""

    def __init__(self, rows: Histories) -> None:
        super().__init__(name="known_items")
        self.num_users, self.num_items = len(rows) - 1, len(rows.values)
        self.longest = int(rows.lengths.max(initial=0))
        # With one more item there is always one to gather.
        values = np.append(rows.values, 0).astype(np.int64)
        self._items = tf.Variable(values, trainable=False, name="known_items")
        self._offsets = tf.Variable(rows.offsets, trainable=False, name="known_offsets")

    def __call__(self, user_ids: tf.Tensor) -> tf.Tensor:
        """Returns the items of user ids, int32 `[batch, longest of them]`, 0 for padding."""
        known = (user_ids > 0) & (user_ids <= self.num_users)
        rows = tf.where(known, user_ids, 0)
        starts = tf.gather(self._offsets, rows)
        lengths = tf.gather(self._offsets, rows + 1) - starts
        place = tf.range(tf.reduce_max(lengths))
        inside = place < lengths[:, tf.newaxis]
        items = tf.gather(self._items, tf.where(inside, starts[:, tf.newaxis] + place, 0))
        return tf.cast(tf.where(inside, items, 0), tf.int32)


class CandidateScores(tf.Module):  # type: ignore[misc]
    """The signature `score` of a model that scores any item for a user.

    It takes what the model reads of users, and `candidates` `[batch, c]`, raw ids. It gives the
    scores by which `serving_default` ranks, and the least float32 for an id that the model does not
    know (padding too) and for a score that is not finite.
    """

    def __init__(
        self, model: Model, items: RawIds, queries: RawQueries, table: ItemTable | None
    ) -> None:
        super().__init__(name="candidate_scores")
        # Methods and not the model: `tf.Module` would save everything that the model holds.
        self._query_vectors, self._score = model.query_vectors, model.score
        self._queries, self._table = queries, table
        candidates = RawInput.of_ids("candidates", "Ids", items, 2)
        self._inputs = {**queries.inputs, "candidates": candidates}

    def signatures(self) -> dict[str, Signature]:
        """Returns the signature by its name."""
        return {"score": Signature(self._score_candidates, self._inputs)}

    def _score_candidates(self, raw: Raw) -> dict[str, tf.Tensor]:
        features = self._queries.features(raw)
        ids = self._queries.known(raw["candidates"])
        if self._table is None:
            scores = tf.cast(self._score(features, tf.maximum(ids, 1)), tf.float32)
        else:
            queries = tf.cast(self._query_vectors(features), tf.float32)
            scores = tf.linalg.matvec(self._table.of(ids), queries)
        given = (ids > 0) & tf.math.is_finite(scores)
        return {"score": tf.where(given, scores, scores.dtype.min)}


# The manifest's word for the prediction of a head, by its kind of label.
_MEANING = {"binary": "probability", "regression": "number"}


class RowScores(tf.Module):  # type: ignore[misc]
    """The signature `score` of a model of rows.

    It takes the columns of the model's context and, where the model knows them, `user_id` and
    `item_id`.

    Attributes:
        output_names: Names of the outputs by the label that each predicts; "score" for one alone.
    """

    def __init__(self, model: Model, files: VocabularyFiles) -> None:
        super().__init__(name="row_scores")
        # A method and not the model: `tf.Module` would save everything that the model holds.
        self._predict = model.call
        self._ids = {
            name: RawIds(ids, files, f"{name.removesuffix('_id')}s")
            for name, ids in (("user_id", model.users), ("item_id", model.items))
            if ids is not None
        }
        assert model.row_schema is not None
        self._columns = RawColumns(model.row_schema, files, taken=self._ids)
        self._id_inputs = {n: RawInput.of_ids(n, "Id", ids) for n, ids in self._ids.items()}
        several = model.predicts_by_label
        self.output_names: dict[str, str] = {}
        for head in model.label_kinds:
            taken = list(self.output_names.values())
            self.output_names[head] = tensor_name(head, taken) if several else "score"
        self._about = {
            self.output_names[head]: {"label": head, "meaning": _MEANING[kind]}
            for head, kind in model.label_kinds.items()
        }

    def signatures(self) -> dict[str, Signature]:
        """Returns the signature by its name."""
        inputs = {**self._id_inputs, **self._columns.inputs}
        return {"score": Signature(self._score, inputs, self._about)}

    def _score(self, raw: Raw) -> dict[str, tf.Tensor]:
        rows = self._columns(raw)
        for name, ids in self._ids.items():
            rows[name] = ids(raw[name])
        given = self._predict(rows)
        heads = given if isinstance(given, dict) else dict.fromkeys(self.output_names, given)
        return {name: tf.cast(heads[head], tf.float32) for head, name in self.output_names.items()}
