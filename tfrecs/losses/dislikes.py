"""The loss of items that a user disliked."""

from __future__ import annotations

from tfrecs._keras import tf
from tfrecs.configured import registered
from tfrecs.losses.scores import Scores
from tfrecs.losses.softmax import SampledLoss


@registered
class NotToRecommend(SampledLoss):
    """Loss of items that a user disliked: it lowers their scores.

        loss = -log(1 - p),  p = exp(s) / (exp(s) + Z),  Z = sum_j exp(s_j) / (k q_j)

    where s is the score of the disliked item, and the k items j are drawn with probabilities q_j. Z
    estimates the sum of exp(score) over all other items, so p estimates the disliked item's
    probability in the softmax. Without a valid draw the loss is 0. A sequence model has this loss
    beside that of its targets if the log has dislikes (`Interactions(dislike=...)`).

    Source: Yueqi Wang et al. 2023. Learning from Negative User Feedback and Measuring
    Responsiveness for Sequential Recommenders. RecSys '23.

    Args:
        num_negatives: Items to draw, k; default 256, or as `negatives` says.
        shared: Whether the disliked items of a batch share the draws; default True, or as
            `negatives` says.
        negatives: Draws them; default `Uniform(num_negatives, shared, seed)`.
        seed: Seed of the default `negatives`.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> items = tf.zeros([1000, 2])
        >>> scores = tfrecs.losses.DotProductScores(
        ...     tf.ones([3, 2]), 1000, lambda ids: tf.gather(items, ids - 1), lambda: items
        ... )
        >>> loss = tfrecs.losses.NotToRecommend(seed=1)(tf.constant([1, 2, 4]), scores)
        >>> round(float(loss), 4)  # -log(1 - 1/1000)
        0.001
    """

    scores_high = False

    def weighted_sum(self, targets: tf.Tensor, scores: Scores, weights: tf.Tensor) -> tf.Tensor:
        """Returns the sum of the disliked items' losses times `weights`, both `[num_queries]`."""
        others, valid, sample = self.negative_scores(targets, scores)
        others -= sample.log_probability + tf.math.log(sample.num_others)
        others = tf.reduce_logsumexp(tf.where(valid, others, others.dtype.min), axis=1)
        losses = tf.nn.softplus(scores.of(targets) - others)
        return tf.reduce_sum(weights * tf.where(tf.reduce_any(valid, axis=1), losses, 0.0))
