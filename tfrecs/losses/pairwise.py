"""Losses of pairs: the target against negatives by the difference of their scores."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import registered
from tfrecs.losses.scores import Scores
from tfrecs.losses.softmax import SampledLoss


class _PairwiseLoss(SampledLoss):
    """Mean, over the negatives of a target, of a loss of the difference of the two scores."""

    def pair_loss(self, difference: tf.Tensor) -> tf.Tensor:
        """Returns the loss of targets that score higher than a negative by `difference`."""
        raise NotImplementedError

    def weighted_sum(self, targets: tf.Tensor, scores: Scores, weights: tf.Tensor) -> tf.Tensor:
        """Returns the sum of the targets' losses times `weights`, both `[num_queries]`."""
        negative, valid, _ = self.negative_scores(targets, scores)
        losses = self.pair_loss(scores.of(targets)[:, tf.newaxis] - negative)
        count = tf.reduce_sum(tf.cast(valid, tf.float32), axis=1)
        total = tf.reduce_sum(tf.where(valid, losses, 0.0), axis=1)
        return tf.reduce_sum(weights * tf.math.divide_no_nan(total, count))


@registered
class BPR(_PairwiseLoss):
    """Bayesian personalised ranking (Rendle et al., UAI 2009).

        loss = mean over negatives j of -log sigmoid(s_target - s_j)

    A negative that equals the target is left out. The paper draws one negative, uniformly from the
    items that the user does not know: `Uniform(1, shared=False, known=...)`; more of them make the
    gradient less noisy. Of lists with labels: `PairwiseLogistic`.

    Args:
        num_negatives: Negatives to draw for each target, k; default 1, or as `negatives` says.
        shared: Whether the targets of a batch share them; default False,
            or as `negatives` says.
        negatives: Draws negatives; default `Uniform(num_negatives, shared, seed)`.
        seed: Seed of the default `negatives`.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> items = tf.zeros([1000, 2])
        >>> scores = tfrecs.losses.DotProductScores(
        ...     tf.ones([3, 2]), 1000, lambda ids: tf.gather(items, ids - 1), lambda: items
        ... )
        >>> loss = tfrecs.losses.BPR(seed=1)(tf.constant([1, 2, 4]), scores)
        >>> round(float(loss), 4)  # log(2)
        0.6931
    """

    default_num_negatives, default_shared = 1, False

    def __init__(
        self,
        num_negatives: int | None = None,
        shared: bool | None = None,
        negatives: keras.layers.Layer | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_negatives, shared, negatives, seed, **kwargs)

    def pair_loss(self, difference: tf.Tensor) -> tf.Tensor:
        """Returns the loss of targets that score higher than a negative by `difference`."""
        return tf.nn.softplus(-difference)


@registered
class BPRMax(SampledLoss):
    """BPR against the hardest negatives, softly chosen (Hidasi and Karatzoglou, CIKM 2018).

        loss = -log(sum_j w_j sigmoid(s_target - s_j)) + r sum_j w_j s_j^2,  w = softmax(s_j)

    where j are the negatives ("Recurrent neural networks with top-k gains for session-based
    recommendations", equations 10 and 11). GRU4Rec's authors train with it. A negative that equals
    the target is left out.

    Args:
        num_negatives: Negatives to draw, k; default 256, or as `negatives` says.
        regularization: The factor r, which keeps the negatives' scores small.
        elu: If not 0, scores first pass through elu(s) = elu (exp(s) - 1) below 0, as the authors'
            settings have it.
        shared: Whether the targets of a batch share the negatives; default True, or as `negatives`
            says.
        negatives: Draws negatives; default `Uniform(num_negatives, shared, seed)`.
        seed: Seed of the default `negatives`.

    Raises:
        ValueError: If `regularization` or `elu` is negative.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> items = tf.zeros([1000, 2])
        >>> scores = tfrecs.losses.DotProductScores(
        ...     tf.ones([3, 2]), 1000, lambda ids: tf.gather(items, ids - 1), lambda: items
        ... )
        >>> loss = tfrecs.losses.BPRMax(seed=1)(tf.constant([1, 2, 4]), scores)
        >>> round(float(loss), 4)  # log(2)
        0.6931
    """

    def __init__(
        self,
        num_negatives: int | None = None,
        regularization: float = 1.0,
        elu: float = 0.0,
        shared: bool | None = None,
        negatives: keras.layers.Layer | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_negatives, shared, negatives, seed, **kwargs)
        for name, value in (("regularization", regularization), ("elu", elu)):
            if not value >= 0:
                raise ValueError(f"{name} must not be negative, not {value!r}.")

    def weighted_sum(self, targets: tf.Tensor, scores: Scores, weights: tf.Tensor) -> tf.Tensor:
        """Returns the sum of the targets' losses times `weights`, both `[num_queries]`."""
        negative, valid, _ = self.negative_scores(targets, scores)
        positive = scores.of(targets)[:, tf.newaxis]
        if self.elu:
            positive, negative = self._elu(positive), self._elu(negative)
        log_weights = tf.nn.log_softmax(tf.where(valid, negative, negative.dtype.min))
        chance = tf.reduce_logsumexp(log_weights - tf.nn.softplus(negative - positive), axis=1)
        squares = tf.reduce_sum(tf.exp(log_weights) * tf.square(negative), axis=1)
        losses = self.regularization * squares - chance
        return tf.reduce_sum(weights * tf.where(tf.reduce_any(valid, axis=1), losses, 0.0))

    def _elu(self, scores: tf.Tensor) -> tf.Tensor:
        below = self.elu * tf.math.expm1(tf.minimum(scores, 0.0))
        return tf.where(scores > 0, scores, below)


@registered
class Margin(_PairwiseLoss):
    """Hinge loss of pairs: a target should score higher than a negative by a margin.

        loss = mean over negatives j of max(0, margin - (s_target - s_j))

    as in ranking support vector machines (Joachims, KDD 2002). A negative that equals the target is
    left out. Of lists with labels: `PairwiseHinge`.

    Args:
        num_negatives: Negatives to draw for each target, k; default 1, or as `negatives` says.
        margin: By how much the target should score higher.
        shared: Whether the targets of a batch share the negatives; default False,
            or as `negatives` says.
        negatives: Draws negatives; default `Uniform(num_negatives, shared, seed)`.
        seed: Seed of the default `negatives`.

    Raises:
        ValueError: If `margin` is not positive.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> items = tf.zeros([1000, 2])
        >>> scores = tfrecs.losses.DotProductScores(
        ...     tf.ones([3, 2]), 1000, lambda ids: tf.gather(items, ids - 1), lambda: items
        ... )
        >>> float(tfrecs.losses.Margin(margin=0.5, seed=1)(tf.constant([1, 2, 4]), scores))
        0.5
    """

    default_num_negatives, default_shared = 1, False

    def __init__(
        self,
        num_negatives: int | None = None,
        margin: float = 1.0,
        shared: bool | None = None,
        negatives: keras.layers.Layer | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_negatives, shared, negatives, seed, **kwargs)
        _check_margin(margin)
        self.margin = margin

    def pair_loss(self, difference: tf.Tensor) -> tf.Tensor:
        """Returns the loss of targets that score higher than a negative by `difference`."""
        return tf.nn.relu(self.margin - difference)


@registered
class WARP(SampledLoss):
    """Weighted approximate-rank pairwise loss (Weston et al., "WSABIE", IJCAI 2011).

        loss = log(max(1, floor((n - 1) / N))) max(0, margin - (s_target - s_j))

    where negatives are tried one after another, j is the first that violates the margin,
    s_j > s_target - margin, and N the number of trials up to it: (n - 1) / N estimates the rank of
    the target among n items. The loss is 0 where none of `max_trials` violates it. As in LightFM
    (Kula, 2015), the logarithm replaces the paper's sum of 1 / i. All trials are drawn and scored
    at once; only the violator is trained. A draw of the target itself, or of an item that the
    negatives' `known` masks, does not count as a trial.

    Args:
        max_trials: Negatives to try for each target; default 10, or as `negatives` says.
        margin: By how much the target should score higher.
        shared: Whether the targets of a batch try the same negatives; default False,
            or as `negatives` says.
        negatives: Draws negatives; default `Uniform(max_trials, shared, seed)`. The estimate of the
            rank assumes uniform ones.
        seed: Seed of the default `negatives`.

    Raises:
        ValueError: If `margin` is not positive.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> items = tf.zeros([1000, 2])
        >>> scores = tfrecs.losses.DotProductScores(
        ...     tf.ones([3, 2]), 1000, lambda ids: tf.gather(items, ids - 1), lambda: items
        ... )
        >>> loss = tfrecs.losses.WARP(seed=1)(tf.constant([1, 2, 4]), scores)
        >>> round(float(loss), 4)  # log(999): the first trial violates the margin
        6.9068
    """

    default_num_negatives, default_shared = 10, False

    def __init__(
        self,
        max_trials: int | None = None,
        margin: float = 1.0,
        shared: bool | None = None,
        negatives: keras.layers.Layer | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(max_trials, shared, negatives, seed, **kwargs)
        _check_margin(margin)
        self.max_trials = self.num_negatives
        if negatives is None:
            self.remember(max_trials=self.max_trials)
        self.margin = margin

    def weighted_sum(self, targets: tf.Tensor, scores: Scores, weights: tf.Tensor) -> tf.Tensor:
        """Returns the sum of the targets' losses times `weights`, both `[num_queries]`."""
        tried, valid, sample = self.negative_scores(targets, scores)
        positive = scores.of(targets)
        threshold = tf.stop_gradient(positive)[:, tf.newaxis] - self.margin
        violates = valid & (tf.stop_gradient(tried) > threshold)
        # One more column, for a batch without targets, whose negatives may be none.
        violates = tf.pad(violates, [[0, 0], [0, 1]])
        first = tf.argmax(violates, axis=1, output_type=tf.int32)
        trials = tf.gather(tf.cumsum(tf.cast(valid, tf.int32), axis=1), first, batch_dims=1)
        rank = (scores.num_items - 1) // tf.maximum(trials, 1)
        weight = tf.math.log(tf.cast(tf.maximum(rank, 1), tf.float32))
        weight = tf.where(tf.reduce_any(violates, axis=1), weight, 0.0)
        # Scored again, so that a step touches the violator's vector alone.
        shared = sample.ids.shape.rank == 1
        violator = tf.gather(sample.ids, first, batch_dims=0 if shared else 1)
        difference = positive - scores.of(violator)
        return tf.reduce_sum(weights * weight * tf.nn.relu(self.margin - difference))


def _check_margin(margin: float) -> None:
    if not margin > 0:
        raise ValueError(f"margin must be positive, not {margin!r}.")
