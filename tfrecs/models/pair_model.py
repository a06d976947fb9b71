"""Models whose score is a learned function of the user's and the item's vector."""

from __future__ import annotations

from collections.abc import Callable

from tfrecs._keras import tf
from tfrecs.losses import Loss, SampledSoftmax, Scores
from tfrecs.models.base import Features
from tfrecs.models.factors import FactorModel

# Items that all users of a batch are scored with at once where all items are.
_BLOCK = 512


class PairScores(Scores):
    """Scores that are any function of the user's and the item's vector.

    Args:
        user_ids: `[batch]`.
        users: `[batch, dim]`, their vectors.
        num_items: Number of items, n.
        rows: Gives the vectors `[..., dim]` of item ids `[...]` in 1..n.
        function: Gives the scores `[batch, k]` of vectors that broadcast to `[batch, k, dim]`.
    """

    def __init__(
        self,
        user_ids: tf.Tensor,
        users: tf.Tensor,
        num_items: int,
        rows: Callable[[tf.Tensor], tf.Tensor],
        function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    ) -> None:
        super().__init__(num_items, user_ids)
        self._users = users[:, tf.newaxis]
        self._rows = rows
        self._function = function

    def of(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the scores of one item a query, `ids` `[num_queries]`, or of k, `[.., k]`."""
        if ids.shape.rank == 1:
            return self.of(ids[:, tf.newaxis])[:, 0]
        return self._function(self._users, self._rows(ids))

    def shared(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns each query's scores of the same items: `ids` `[k]` gives `[num_queries, k]`."""
        return self._function(self._users, self._rows(ids)[tf.newaxis])


class PairModel(FactorModel):
    """A model that scores a user and an item by hidden layers over their two vectors.

    All items are scored by blocks.
    """

    output_weights: tf.Variable
    bias: tf.Variable

    def _logits(self, users: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """Scores `[batch, k]` of rows `[batch, 1, ...]` and `[batch or 1, k, ...]`."""
        raise NotImplementedError

    def score_of_hidden(self, hidden: tf.Tensor) -> tf.Tensor:
        """The part of the last hidden layer and the bias in the score, float32."""
        hidden = tf.cast(hidden, tf.float32)
        weights, bias = (tf.cast(w, tf.float32) for w in (self.output_weights, self.bias))
        return tf.linalg.matvec(hidden, weights) + bias

    def default_loss(self) -> Loss:
        """Returns softmax over a sample that the batch shares."""
        return SampledSoftmax(256, seed=self.seed)

    def scores_of(
        self, user_ids: tf.Tensor, users: tf.Tensor, rows: Callable[[tf.Tensor], tf.Tensor]
    ) -> PairScores:
        """Returns what a loss asks for scores; see `FactorModel`."""
        return PairScores(user_ids, users, self.num_items, rows, self._logits)

    def score(self, features: Features, items: tf.Tensor | None = None) -> tf.Tensor:
        """Returns the scores of items for each user of a batch; see `Model.score`.

        All items are scored block by block: the hidden layers of all pairs are never held at once.
        """
        users = self.user_rows(features)
        if items is not None:
            rows = self.item_embedding.rows
            return self.scores_of(features["user_id"], users, rows).of(items)
        blocks = -(-self.num_items // _BLOCK)
        table = tf.pad(self.item_embedding.table, [[0, blocks * _BLOCK - self.num_items], [0, 0]])
        table = tf.reshape(table, [blocks, 1, _BLOCK, table.shape[-1]])
        scores = tf.map_fn(
            lambda block: self._logits(users[:, tf.newaxis], block),
            table,
            fn_output_signature=tf.float32,
        )
        scores = tf.reshape(tf.transpose(scores, [1, 0, 2]), [-1, blocks * _BLOCK])
        return scores[:, : self.num_items]
