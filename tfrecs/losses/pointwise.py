"""Losses that judge each item by itself: binary cross-entropy, its generalised form, squares."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.configured import registered
from tfrecs.losses.scores import Scores
from tfrecs.losses.softmax import SampledLoss
from tfrecs.negatives import ItemFrequency


@registered
class BinaryCrossEntropy(SampledLoss):
    """Binary cross-entropy of the target against k negatives (SASRec's own loss with k = 1).

        loss = -log sigmoid(c_target) - w sum_j log(1 - sigmoid(c_j)),   c_i = s_i

    A negative that equals the target is masked. With w = 1 the trained score estimates
    log(o_i / (k q_i)), where o_i = p_i / (1 - p_i) are the odds that i is the query's item, about
    its probability p_i where items are many, and q_i is the probability that a draw gives it: the
    log odds up to a constant under uniform negatives, and under others the ratio to their
    probabilities. Two corrections, one or both, change that:

        logq:        c_i = s_i - log(k q_i)   the score estimates log(o_i)
        popularity:  c_i = s_i + log(pi_i)    the estimate is less by log(pi_i)

    The first is the log-odds correction for non-uniform negatives (Wang et al., "Nonuniform
    negative sampling and log odds correction with rare events data", NeurIPS 2021). Both together
    give the ratio log(o_i / pi_i) to the share pi_i that the item has of the log (Pellegrini et
    al., "Don't recommend the obvious: estimate probability ratios", RecSys 2022), as do negatives
    drawn by that share and no correction.

    Args:
        num_negatives: Negatives to draw for each target, k; default 1, or as `negatives` says.
        shared: Whether the targets of a batch share them; default False, as in the paper,
            or as `negatives` says.
        negatives: Draws negatives; default `Uniform(num_negatives, shared, seed)`.
        seed: Seed of the default `negatives`.
        logq: Whether scores are corrected for the negatives' probabilities.
        popularity: Gives log(pi) of ids, such as `negatives.ItemFrequency`; None for no correction.
        negative_weight: Weight w of the negatives.

    Raises:
        ValueError: If `negative_weight` is not positive.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> items = tf.zeros([1000, 2])
        >>> scores = tfrecs.losses.DotProductScores(
        ...     tf.ones([3, 2]), 1000, lambda ids: tf.gather(items, ids - 1), lambda: items
        ... )
        >>> loss = tfrecs.losses.BinaryCrossEntropy(3, seed=1)(tf.constant([1, 2, 4]), scores)
        >>> round(float(loss), 4)  # 4 log(2)
        2.7726
    """

    default_num_negatives, default_shared = 1, False

    def __init__(
        self,
        num_negatives: int | None = None,
        shared: bool | None = None,
        negatives: keras.layers.Layer | None = None,
        seed: int | None = None,
        logq: bool = False,
        popularity: ItemFrequency | None = None,
        negative_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_negatives, shared, negatives, seed, **kwargs)
        _check_weight(negative_weight)
        self.logq = logq
        self.popularity = popularity
        self.negative_weight = negative_weight

    def positive_weight(self, num_items: int) -> float:
        """Returns the exponent of the target's probability; 1 here."""
        del num_items
        return 1.0

    def weighted_sum(self, targets: tf.Tensor, scores: Scores, weights: tf.Tensor) -> tf.Tensor:
        """Returns the sum of the targets' losses times `weights`, both `[num_queries]`."""
        negative, valid, sample = self.negative_scores(targets, scores)
        positive = scores.of(targets)
        if self.logq:
            log_k = tf.math.log(sample.num_draws)
            negative -= sample.log_probability + log_k
            positive -= sample.positive_log_probability + log_k
        if self.popularity is not None:
            negative += self.popularity(sample.ids)
            positive += self.popularity(targets)
        # -log sigmoid(x)^beta = beta softplus(-x): no power, no log of a rounded 0.
        loss = self.positive_weight(scores.num_items) * tf.nn.softplus(-positive)
        against = tf.reduce_sum(tf.where(valid, tf.nn.softplus(negative), 0.0), axis=1)
        return tf.reduce_sum(weights * (loss + self.negative_weight * against))


@registered
class GBCE(BinaryCrossEntropy):
    """Generalised binary cross-entropy (Petrov and Macdonald, "gSASRec", RecSys 2023).

        loss = -log sigmoid(s_target)^beta - sum_j log(1 - sigmoid(s_j))
        beta = alpha (t (1 - 1/alpha) + 1/alpha),  alpha = k / (n - 1)

    for n items. `beta` undoes the overconfidence that sampling k of n - 1 negatives causes; t = 0
    is plain binary cross-entropy and t = 1 calibrates fully. Computed as
    `beta softplus(-s_target)`, which needs none of the authors' float64. The authors' code averages
    over the target and its negatives where this sums: its loss is smaller by 1 + k, which Adam does
    not notice and SGD and regularisation do.

    Args:
        num_negatives: Negatives to draw for each target, k; default 256, or as `negatives` says.
        t: Calibration, in [0, 1].
        shared: Whether the targets of a batch share the negatives; default False, as in the paper,
            or as `negatives` says.
        negatives: Draws negatives; default `Uniform(num_negatives, shared, seed)`.
        seed: Seed of the default `negatives`.
        **kwargs: Other arguments of `BinaryCrossEntropy`.

    Raises:
        ValueError: If `t` is not in [0, 1], or the number of negatives is not known.

    Example:
        >>> import tfrecs
        >>> round(tfrecs.losses.GBCE(num_negatives=100, t=0.75).positive_weight(1001), 4)
        0.325
    """

    default_num_negatives, default_shared = 256, False

    def __init__(
        self,
        num_negatives: int | None = None,
        t: float = 0.75,
        shared: bool | None = None,
        negatives: keras.layers.Layer | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_negatives, shared, negatives, seed, **kwargs)
        if not 0 <= t <= 1:
            raise ValueError(f"t must be in [0, 1], not {t!r}.")
        if self.num_negatives is None:
            raise ValueError(
                "GBCE's calibration needs the number of negatives, which the "
                f"{type(negatives).__name__} does not say: use a sampler of so many, such as "
                "Uniform(256)."
            )
        self.t = t

    def positive_weight(self, num_items: int) -> float:
        """Returns beta, the exponent of the target's probability, for `num_items` items."""
        assert self.num_negatives is not None  # The constructor sees to it.
        alpha = min(self.num_negatives / max(num_items - 1, 1), 1.0)
        return alpha * (self.t * (1 - 1 / alpha) + 1 / alpha)


@registered
class SquaredError(SampledLoss):
    """Weighted squared error of the target, which should score 1, and k negatives, which score 0.

        loss = (1 - s_target)^2 + w sum_j s_j^2

    the pointwise loss of implicit matrix factorization (Hu et al., ICDM 2008; Pan et al., ICDM
    2008) over a sample; `WholeDataSquaredError` needs none. A negative that equals the target is
    masked.

    Args:
        num_negatives: Negatives to draw for each target, k; default 4, or as `negatives` says.
        shared: Whether the targets of a batch share them; default False,
            or as `negatives` says.
        negatives: Draws negatives; default `Uniform(num_negatives, shared, seed)`.
        seed: Seed of the default `negatives`.
        negative_weight: Weight w of the negatives.

    Raises:
        ValueError: If `negative_weight` is not positive.

    Example:
        >>> import tensorflow as tf, tfrecs
        >>> items = tf.ones([1000, 2])
        >>> scores = tfrecs.losses.DotProductScores(
        ...     tf.ones([3, 2]), 1000, lambda ids: tf.gather(items, ids - 1), lambda: items
        ... )
        >>> loss = tfrecs.losses.SquaredError(5, seed=1, negative_weight=0.5)
        >>> float(loss(tf.constant([1, 2, 4]), scores))  # (1 - 2)^2 + 0.5 * 5 * 2^2
        11.0
    """

    default_num_negatives, default_shared = 4, False

    def __init__(
        self,
        num_negatives: int | None = None,
        shared: bool | None = None,
        negatives: keras.layers.Layer | None = None,
        seed: int | None = None,
        negative_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_negatives, shared, negatives, seed, **kwargs)
        _check_weight(negative_weight)
        self.negative_weight = negative_weight

    def weighted_sum(self, targets: tf.Tensor, scores: Scores, weights: tf.Tensor) -> tf.Tensor:
        """Returns the sum of the targets' losses times `weights`, both `[num_queries]`."""
        negative, valid, _ = self.negative_scores(targets, scores)
        loss = tf.square(1 - scores.of(targets))
        against = tf.reduce_sum(tf.where(valid, tf.square(negative), 0.0), axis=1)
        return tf.reduce_sum(weights * (loss + self.negative_weight * against))


def _check_weight(negative_weight: float) -> None:
    if not negative_weight > 0:
        raise ValueError(f"negative_weight must be positive, not {negative_weight!r}.")
