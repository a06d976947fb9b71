"""Softmax cross-entropy over all items, and over sampled ones."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.losses.base import Loss
from tfrecs.losses.logsumexp import weighted_logsumexp
from tfrecs.losses.scores import DotProductScores
from tfrecs.negatives import Sample, Uniform


@keras.utils.register_keras_serializable("tfrecs")
class FullSoftmax(Loss):
    """Cross-entropy of the softmax over the whole catalogue.

        loss = log(sum_j exp(s_j)) - (1 - e) s_target - e mean_j(s_j),  e = label_smoothing

    Never holds more than `chunk_size` scores (see `weighted_logsumexp`): memory does not grow with
    batch times catalogue, and the cost is three matrix products.

    Args:
        label_smoothing: Share e of the target's probability spread over all items.
        chunk_size: Most scores held at once; the default is 16 MB of them.

    Raises:
        ValueError: If `label_smoothing` is not in [0, 1).

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> items = tf.zeros([4, 2])
        >>> scores = tfrecs.losses.DotProductScores(
        ...     tf.ones([3, 2]), 4, lambda ids: tf.gather(items, ids - 1), lambda: items
        ... )
        >>> loss = tfrecs.losses.FullSoftmax()(tf.constant([1, 2, 4]), scores)
        >>> round(float(loss), 4)  # log(4): every item is as likely
        1.3863
    """

    def __init__(
        self, label_smoothing: float = 0.0, chunk_size: int = 2**22, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing must be in [0, 1), not {label_smoothing!r}.")
        self.label_smoothing = label_smoothing
        self.chunk_size = chunk_size

    def weighted_sum(
        self, targets: tf.Tensor, scores: DotProductScores, weights: tf.Tensor
    ) -> tf.Tensor:
        """Returns the sum of the targets' losses times `weights`, both `[num_queries]`."""
        items = scores.item_vectors()
        target_scores = scores.of(targets)
        loss = weighted_logsumexp(scores.queries, items, weights, self.chunk_size)
        loss -= (1 - self.label_smoothing) * tf.reduce_sum(weights * target_scores)
        if self.label_smoothing:
            mean_scores = tf.linalg.matvec(scores.queries, tf.reduce_mean(items, axis=0))
            loss -= self.label_smoothing * tf.reduce_sum(weights * mean_scores)
        return loss

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        config = {"label_smoothing": self.label_smoothing, "chunk_size": self.chunk_size}
        return {**super().get_config(), **config}


class SampledLoss(Loss):
    """Base of the losses that compare a target with sampled negatives.

    Args:
        num_negatives: Negatives to draw, k.
        shared: Whether the targets of a batch share them.
        negatives: Draws them; default `Uniform(num_negatives, shared, seed)`.
        seed: Seed of the default `negatives`.
    """

    def __init__(
        self,
        num_negatives: int,
        shared: bool,
        negatives: keras.layers.Layer | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(negatives, dict):
            negatives = keras.utils.deserialize_keras_object(negatives)
        self.num_negatives = num_negatives
        self.shared = shared
        self.seed = seed
        # The default follows from the other arguments, also from ones changed in a config.
        self._negatives_given = negatives is not None
        self.negatives = negatives or Uniform(num_negatives, shared, seed, name="negatives")

    def negative_scores(
        self, targets: tf.Tensor, scores: DotProductScores
    ) -> tuple[tf.Tensor, tf.Tensor, Sample]:
        """Draws negatives and scores them.

        Returns:
            Their scores `[num_queries, k]`; which of them are no hits of the query's own target,
            bool of the same shape; and the sample.
        """
        sample = self.negatives(targets, scores.num_items)
        return scores.sampled(sample.ids), sample.ids != targets[:, tf.newaxis], sample

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "num_negatives": self.num_negatives,
            "shared": self.shared,
            "negatives": (
                keras.utils.serialize_keras_object(self.negatives)
                if self._negatives_given
                else None
            ),
            "seed": self.seed,
        }


@keras.utils.register_keras_serializable("tfrecs")
class SampledSoftmax(SampledLoss):
    """Cross-entropy of the softmax over the target and k sampled negatives.

        loss = log(exp(c_target) + sum_j exp(c_j)) - c_target,  c_i = s_i - log q_i

    where q is the probability of a draw (the logQ correction of Bengio and Senecal, 2008, applied
    to the target's score too, as in Jean et al., 2015). Under uniform negatives it changes nothing.
    A negative that equals the target is masked.

    Args:
        num_negatives: Negatives to draw, k.
        shared: Whether the targets of a batch share them (one matrix product instead of a gather of
            k vectors for each target).
        logq: Whether scores are corrected for the negatives' probabilities.
        negatives: Draws negatives; default `Uniform(num_negatives, shared, seed)`.
        seed: Seed of the default `negatives`.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> items = tf.zeros([1000, 2])
        >>> scores = tfrecs.losses.DotProductScores(
        ...     tf.ones([3, 2]), 1000, lambda ids: tf.gather(items, ids - 1), lambda: items
        ... )
        >>> loss = tfrecs.losses.SampledSoftmax(7, seed=1)(tf.constant([1, 2, 4]), scores)
        >>> round(float(loss), 4)  # log(1 + 7)
        2.0794
    """

    def __init__(
        self,
        num_negatives: int = 256,
        shared: bool = True,
        logq: bool = True,
        negatives: keras.layers.Layer | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_negatives, shared, negatives, seed, **kwargs)
        self.logq = logq

    def weighted_sum(
        self, targets: tf.Tensor, scores: DotProductScores, weights: tf.Tensor
    ) -> tf.Tensor:
        """Returns the sum of the targets' losses times `weights`, both `[num_queries]`."""
        negative, valid, sample = self.negative_scores(targets, scores)
        positive = scores.of(targets)
        if self.logq:
            negative -= sample.log_probability
            positive -= sample.positive_log_probability
        negative = tf.where(valid, negative, negative.dtype.min)
        logits = tf.concat([positive[:, tf.newaxis], negative], axis=1)
        return tf.reduce_sum(weights * (tf.reduce_logsumexp(logits, axis=1) - positive))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "logq": self.logq}
