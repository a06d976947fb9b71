"""Losses that judge each item by itself: binary cross-entropy and its generalised form."""

from __future__ import annotations

from typing import Any

from tfrecs._keras import keras, tf
from tfrecs.losses.scores import DotProductScores
from tfrecs.losses.softmax import SampledLoss


@keras.utils.register_keras_serializable("tfrecs")
class BinaryCrossEntropy(SampledLoss):
    """Binary cross-entropy of the target against k negatives (SASRec's own loss with k = 1).

        loss = -log sigmoid(s_target) - sum_j log(1 - sigmoid(s_j))

    A negative that equals the target is masked.

    Args:
        num_negatives: Negatives to draw for each target, k.
        shared: Whether the targets of a batch share them; False as in the paper.
        negatives: Draws negatives; default `Uniform(num_negatives, shared, seed)`.
        seed: Seed of the default `negatives`.

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

    def __init__(
        self,
        num_negatives: int = 1,
        shared: bool = False,
        negatives: keras.layers.Layer | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_negatives, shared, negatives, seed, **kwargs)

    def positive_weight(self, num_items: int) -> float:
        """Returns the exponent of the target's probability; 1 here."""
        del num_items
        return 1.0

    def weighted_sum(
        self, targets: tf.Tensor, scores: DotProductScores, weights: tf.Tensor
    ) -> tf.Tensor:
        """Returns the sum of the targets' losses times `weights`, both `[num_queries]`."""
        negative, valid, _ = self.negative_scores(targets, scores)
        # -log sigmoid(x)^beta = beta softplus(-x): no power, no log of a rounded 0.
        loss = self.positive_weight(scores.num_items) * tf.nn.softplus(-scores.of(targets))
        loss += tf.reduce_sum(tf.where(valid, tf.nn.softplus(negative), 0.0), axis=1)
        return tf.reduce_sum(weights * loss)


@keras.utils.register_keras_serializable("tfrecs")
class GBCE(BinaryCrossEntropy):
    """Generalised binary cross-entropy (Petrov and Macdonald, "gSASRec", RecSys 2023).

        loss = -log sigmoid(s_target)^beta - sum_j log(1 - sigmoid(s_j))
        beta = alpha (t (1 - 1/alpha) + 1/alpha),  alpha = k / (n - 1)

    for n items. `beta` undoes the overconfidence that sampling k of n - 1 negatives causes; t = 0
    is plain binary cross-entropy and t = 1 calibrates fully. Computed as
    `beta softplus(-s_target)`, which needs none of the authors' float64.

    Args:
        num_negatives: Negatives to draw for each target, k.
        t: Calibration, in [0, 1].
        shared: Whether the targets of a batch share the negatives; False as in the paper.
        negatives: Draws negatives; default `Uniform(num_negatives, shared, seed)`.
        seed: Seed of the default `negatives`.

    Raises:
        ValueError: If `t` is not in [0, 1].

    Example:
        >>> import tfrecs
        >>> round(tfrecs.losses.GBCE(num_negatives=100, t=0.75).positive_weight(1001), 4)
        0.325
    """

    def __init__(
        self,
        num_negatives: int = 256,
        t: float = 0.75,
        shared: bool = False,
        negatives: keras.layers.Layer | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_negatives, shared, negatives, seed, **kwargs)
        if not 0 <= t <= 1:
            raise ValueError(f"t must be in [0, 1], not {t!r}.")
        self.t = t

    def positive_weight(self, num_items: int) -> float:
        """Returns beta, the exponent of the target's probability, for `num_items` items."""
        alpha = min(self.num_negatives / max(num_items - 1, 1), 1.0)
        return alpha * (self.t * (1 - 1 / alpha) + 1 / alpha)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "t": self.t}
