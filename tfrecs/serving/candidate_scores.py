"""The signature that scores given items for a user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfrecs._keras import tf
from tfrecs.serving.item_table import ItemTable
from tfrecs.serving.queries import RawQueries
from tfrecs.serving.raw_ids import RawIds
from tfrecs.serving.signature import Raw, RawInput, Signature

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
