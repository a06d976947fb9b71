"""Squared error over all items, without sampling and without their scores."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import tf
from tfrecs.configured import registered
from tfrecs.losses.base import Loss
from tfrecs.losses.scores import Scores
from tfrecs.negatives import ItemFrequency, KnownItems


@registered
class WholeDataSquaredError(Loss):
    """Squared error over all pairs of users and items (Chen et al., TOIS 2020 and 2023).

        loss = (1 - s_target)^2 - c_target s_target^2 + a sum_j c_j s_j^2

    of a target, where j runs over the whole catalogue: with a = 1 the squared error of all items,
    the target to score 1 and every other one 0 with weight c_j. No score of them is computed: as
    s_j = <q, v_j>,

        sum_j c_j s_j^2 = q^T G q,   G = sum_j c_j v_j v_j^T

    costs n d^2 a step and d^2 a query (Chen et al., "Efficient neural matrix factorization without
    sampling for recommendation", TOIS 2020; "Revisiting negative sampling vs. non-sampling in
    implicit recommendation", TOIS 2023).

    A user with N targets in an epoch has N such losses. With `known`, the items of each user in
    the training data, a is 1 / N, and the sum of an epoch's losses is exactly

        sum_u (sum_{i of u} (1 - s_ui)^2 + sum_{j not of u} c_j s_uj^2)

    for models that score a user the same way at each of the targets. Without it, items that are no
    target weigh in proportion to how active the user is, and need no user ids.

    Args:
        unobserved_weight: Mean c of the weights c_j of items that are no target.
        popularity: Gives log(pi) of ids, the share that an item has of the log, such as
            `negatives.ItemFrequency`: c_j is then proportional to pi_j^alpha, as a popular item
            that the user does not have is more surely unwanted (He et al., SIGIR 2016). None for
            c_j = c.
        alpha: That power.
        known: Items of each user, for the objective above; None for a = 1.

    Raises:
        ValueError: If `unobserved_weight` is not positive, or `known` is given and a batch has no
            user ids.
        TypeError: If a model's scores are no products of vectors.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> items = tf.constant([[1.0, 0.0], [0.0, 2.0]])
        >>> scores = tfrecs.losses.DotProductScores(
        ...     tf.constant([[3.0, 5.0]]), 2, lambda ids: tf.gather(items, ids - 1), lambda: items
        ... )
        >>> loss = tfrecs.losses.WholeDataSquaredError(unobserved_weight=0.5)
        >>> float(loss(tf.constant([1]), scores))  # (1 - 3)^2 + 0.5 * 10^2
        54.0
    """

    needs_products = True

    def __init__(
        self,
        unobserved_weight: float = 0.1,
        popularity: ItemFrequency | None = None,
        alpha: float = 0.5,
        known: KnownItems | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not unobserved_weight > 0:
            raise ValueError(f"unobserved_weight must be positive, not {unobserved_weight!r}.")
        self.unobserved_weight = unobserved_weight
        self.popularity = popularity
        self.alpha = alpha
        self.known = known

    def weighted_sum(self, targets: tf.Tensor, scores: Scores, weights: tf.Tensor) -> tf.Tensor:
        """Returns the sum of the targets' losses times `weights`, both `[num_queries]`."""
        dot_products = scores.products(type(self).__name__)
        queries, items = dot_products.queries, dot_products.item_vectors()
        item_weights = self._item_weights(scores.num_items)
        gram = tf.matmul(items, items * item_weights[:, tf.newaxis], transpose_a=True)
        everywhere = tf.reduce_sum(queries * tf.matmul(queries, gram), axis=1)
        if self.known is not None:
            if scores.user_ids is None:
                raise ValueError(
                    f"{self.name}: known items need the users: the batches must have "
                    '"user_id", and the model must pass it on (Scores(user_ids=...)).'
                )
            everywhere /= tf.cast(tf.maximum(self.known.counts(scores.user_ids), 1), tf.float32)
        score = scores.of(targets)
        own = tf.square(1 - score) - tf.gather(item_weights, targets - 1) * tf.square(score)
        return tf.reduce_sum(weights * (own + everywhere))

    def _item_weights(self, num_items: int) -> tf.Tensor:
        if self.popularity is None:
            return tf.fill([num_items], tf.constant(self.unobserved_weight, tf.float32))
        share = self.alpha * self.popularity(tf.range(1, num_items + 1))
        return self.unobserved_weight * num_items * tf.nn.softmax(share)
