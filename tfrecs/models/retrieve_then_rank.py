"""Retrieval and ranking, one after the other, as one model."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrecs._keras import tf
from tfrecs.configured import check_integer, registered
from tfrecs.data import EventInputs, Vocabulary
from tfrecs.models.base import Features, Model
from tfrecs.models.deep_cross import DeepCross


@registered
class RetrieveThenRank(Model):
    """Two trained models in one graph: the first finds candidates, the second orders them.

        candidates(u) = the m items of the highest retriever.score(u, i), without the history
        score(u, i) = ranker.score(u, i) for these; for all others less, in the retriever's order

    (The two stages of Covington et al., RecSys 2016.) It is evaluated and exported like any model.
    It has no weights to train: train the two models separately, on the same part of a log or on
    different ones. Users and items are matched by their raw ids; those that the ranker does not
    know are unknown ones to it.

    Args:
        retriever: Any model with a vocabulary of items, such as `TwoTower` or `SASRec`.
        ranker: A model of rows of users and items.
        num_candidates: How many candidates are ranked, m.
        recommend_known: Whether items of the history may be candidates; see
            `Split.with_recommend_known`.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Raises:
        ValueError: If a model has no vocabulary of items, or `num_candidates` is less than 1.

    Example:
        ```python
        model = tfrecs.models.RetrieveThenRank(two_tower, deep_cross, num_candidates=200)
        print(tfrecs.evaluate(model, split.test))
        tfrecs.serving.export(model, "exports/both")
        ```
    """

    def __init__(
        self,
        retriever: Model,
        ranker: DeepCross,
        num_candidates: int = 100,
        recommend_known: bool = False,
        **kwargs: Any,
    ) -> None:
        if retriever.items is None or ranker.items is None:
            raise ValueError("Both models need the vocabulary of their items.")
        check_integer("num_candidates", num_candidates, least=1)
        super().__init__(retriever.items, **kwargs)
        self.retriever = retriever
        self.ranker = ranker
        self.num_candidates = min(num_candidates, self.num_items)
        self.recommend_known = recommend_known
        self.users = retriever.users
        self._item_ids = _matched(retriever.items, ranker.items)
        self._user_ids = None
        if self.users is not None and ranker.users is not None:
            self._user_ids = _matched(self.users, ranker.users)

    @property
    def max_history(self) -> int | None:
        """Number of positions of `"history"` that the retriever reads."""
        return self.retriever.max_history

    @property
    def event_inputs(self) -> EventInputs | None:
        """What the retriever reads of the events of a history, beside their items."""
        return self.retriever.event_inputs

    @property
    def is_product(self) -> bool:
        """False: the score is no product of vectors."""
        return False

    def score(self, features: Features, items: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the scores of items for each user, as `Model.score`.

        Args:
            features: What the retriever takes in, and columns of the ranker's context.
            items: `[batch, c]` item ids: the ranker scores these, and nothing is retrieved; None
                for all items, with the retrieved candidates ranked first.
        """
        if items is not None:
            return self._rank(features, items)
        found = self.retriever.score(features)
        least, most = (
            reduce(found, axis=1, keepdims=True) for reduce in (tf.reduce_min, tf.reduce_max)
        )
        unseen = found
        if "history" in features and not self.recommend_known:
            row = tf.range(tf.shape(found)[0])[:, tf.newaxis]
            history = features["history"]
            known = (history > 0) & (history <= self.num_items)
            place = tf.stack(
                [tf.broadcast_to(row, tf.shape(history)), tf.where(known, history - 1, 0)], axis=-1
            )
            seen = tf.scatter_nd(place, tf.cast(known, tf.float32), tf.shape(found))
            unseen = tf.where(seen > 0, least - 1.0, found)
        best = tf.math.top_k(unseen, self.num_candidates).indices
        ranked = self._rank(features, best + 1)
        # The others keep their order, in an interval of length 1 below the last candidate.
        place = (found - least) / tf.maximum(most - least, 1e-6)
        others = tf.reduce_min(ranked, axis=1, keepdims=True) - 2.0 + place
        row = tf.broadcast_to(tf.range(tf.shape(found)[0])[:, tf.newaxis], tf.shape(best))
        return tf.tensor_scatter_nd_update(others, tf.stack([row, best], axis=-1), ranked)

    def _rank(self, features: Features, items: tf.Tensor) -> tf.Tensor:
        features = {name: x for name, x in features.items() if name in self.ranker.inputs_of_rows}
        if "user_id" in features and self._user_ids is not None:
            users = features["user_id"]
            known = (users >= 0) & (users < len(self._user_ids))
            features["user_id"] = tf.gather(self._user_ids, tf.where(known, users, 0))
        return self.ranker.score(features, tf.gather(self._item_ids, items))

    def compute_loss(self, inputs: Features, training: bool = False) -> tf.Tensor:
        """Raises a TypeError: the two models are trained separately."""
        raise TypeError("RetrieveThenRank does not train: train its retriever and its ranker.")


def _matched(ids: Vocabulary, others: Vocabulary) -> np.ndarray:
    """The ids in another vocabulary of the ids 0..n + 1: 0 stays 0."""
    return np.concatenate([[0], others.encode(ids.ids), [others.oov_id]]).astype(np.int32)
