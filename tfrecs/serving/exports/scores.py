"""The signatures that score: given items for a user, or rows of raw values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfrecs._keras import tf
from tfrecs.serving.exports.raw_columns import RawColumns
from tfrecs.serving.exports.raw_ids import RawIds, VocabularyFiles
from tfrecs.serving.exports.signature import Raw, RawInput, RawQueries, Signature, tensor_name
from tfrecs.serving.index.exact import ItemTable

if TYPE_CHECKING:
    from tfrecs.models import Model


class CandidateScores(tf.Module):  # type: ignore[misc]
    """The signature `score` of a model that scores any item for a user.

    It takes what the model reads of users, and `candidates` `[batch, c]`, raw ids. Scores are
    those that `serving_default` recommends by; an id that the model does not know, padding too, and
    a score that is no finite number give the least float32.

    Args:
        model: The model.
        items: The raw ids of its items.
        queries: What requests say of users.
        table: The vectors of items; None for a model without vectors.
    """

    def __init__(
        self, model: Model, items: RawIds, queries: RawQueries, table: ItemTable | None
    ) -> None:
        super().__init__(name="candidate_scores")
        # Methods, not the model itself: `tf.Module` would save all that hangs on it.
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


# What a head predicts, in the words of the manifest.
_MEANING = {"binary": "probability", "regression": "number"}


class RowScores(tf.Module):  # type: ignore[misc]
    """The signature `score` of a model of rows.

    It takes the columns of the model's context and, where it knows them, `user_id` and `item_id`.

    Args:
        model: The model.
        files: Where the vocabularies are written.

    Attributes:
        output_names: Names of the outputs by the label that each predicts; "score" for one alone.
    """

    def __init__(self, model: Model, files: VocabularyFiles) -> None:
        super().__init__(name="row_scores")
        # A method, not the model itself: `tf.Module` would save all that hangs on it.
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
